/** Panel beside the canvas: statistics, histogram, the element under the pointer, and the message. */

import type { ComponentChildren } from "preact";
import { bytes } from "../format/numbers.ts";
import { duration, exactClockTime } from "../format/times.ts";
import { shortText } from "./numbers/exact_text.ts";
import type { Pointed, Reception, Shown } from "./posts.ts";
import type { Session } from "./session.ts";

export function FactsPanel({ session, shown }: { readonly session: Session; readonly shown: Shown }) {
  const { statistics } = shown;
  const count = (number: number): string => number.toLocaleString("en");
  return (
    <aside class="viewer-facts" aria-label="Statistics and message">
      <Facts
        title="Statistics"
        note={shown.isWhole ? "of every element" : "of the elements shown"}
        facts={[
          ["Least", shortText(statistics.least)],
          ["Most", shortText(statistics.most)],
          ["Mean", shortText(statistics.mean)],
          ["Std. deviation", shortText(statistics.deviation)],
          ["Elements", count(statistics.count)],
          ["Zeros", count(statistics.zeros)],
          ["NaN", count(statistics.nan)],
          ["Infinite", count(statistics.infinite)],
        ]}
      />
      {shown.mode === "histogram" ? null : <HistogramPlot shown={shown} />}
      {shown.mode === "numbers" || shown.mode === "histogram" ? null : <PointedPanel pointed={session.pointed.value} />}
      <MessageFacts shown={shown} reception={session.reception.value} />
    </aside>
  );
}

function Facts({
  title,
  note,
  facts,
  children,
}: {
  readonly title: string;
  readonly note?: string;
  readonly facts: readonly (readonly [name: string, value: string])[];
  readonly children?: ComponentChildren;
}) {
  return (
    <section>
      <h2>
        {title} {note ? <small>{note}</small> : null}
      </h2>
      <dl>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd title={value}>{value}</dd>
          </div>
        ))}
      </dl>
      {children}
    </section>
  );
}

function MessageFacts({ shown, reception }: { readonly shown: Shown; readonly reception: Reception | undefined }) {
  const ageS = Math.max(0, (Date.now() - shown.timestampMs) / 1000);
  return (
    <Facts
      title="Message"
      facts={[
        ["Offset", `${shown.offset}`],
        ["Epoch", `${shown.epoch}`],
        ["Published", exactClockTime(shown.timestampMs / 1000)],
        ["Age", duration(ageS)],
        ["Age on arrival", duration(shown.latencyS)],
        ["Received", reception ? `${reception.messagesPerS.toFixed(1)}/s, ${bytes(reception.bytesPerS)}/s` : "–"],
        ["In total", reception ? `${reception.messages.toLocaleString("en")}, ${bytes(reception.bytes)}` : "–"],
      ]}
    >
      <Headers text={shown.headers} />
    </Facts>
  );
}

export function Headers({ text }: { readonly text: string | null }) {
  return text ? (
    <pre class="viewer-headers">
      {text === "{}"
        ? "no headers"
        : JSON.stringify(JSON.parse(text), null, 1).slice(2, -2).replaceAll("\n ", "\n").trim()}
    </pre>
  ) : (
    <p class="viewer-quiet">No headers</p>
  );
}

function PointedPanel({ pointed }: { readonly pointed: Pointed | undefined }) {
  return (
    <section class="viewer-pointed" aria-live="off">
      <h2>Under the pointer</h2>
      <p class="viewer-value">
        {pointed ? (
          <>
            <code>[{pointed.index.join(", ")}]</code> <b>{pointed.text}</b>
          </>
        ) : (
          <span class="viewer-quiet">Point at an element</span>
        )}
      </p>
      <div class="viewer-around">{pointed ? <Cells cells={pointed.around} /> : null}</div>
    </section>
  );
}

function Cells({ cells }: { readonly cells: Pointed["around"] }) {
  return (
    <table>
      <tbody>
        {cells.map((line, row) => (
          <tr key={row}>
            {line.map((text, column) => (
              <td key={column}>{text}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Histogram as bars; the counts by their square root, so that few elements are seen beside many. */
export function HistogramPlot({ shown, isLarge = false }: { readonly shown: Shown; readonly isLarge?: boolean }) {
  const { histogram } = shown;
  const most = Math.sqrt(Math.max(1, ...(histogram?.counts ?? [])));
  const counts = histogram?.counts ?? [];
  const width = histogram ? histogram.high - histogram.low : 0;
  return (
    <section class={isLarge ? "viewer-histogram is-large" : "viewer-histogram"}>
      <h2>
        Histogram <small>height by square root</small>
      </h2>
      <svg
        viewBox={`0 0 ${Math.max(1, counts.length)} 100`}
        preserveAspectRatio="none"
        role="img"
        aria-label="Histogram of the elements"
      >
        {counts.map((count, index) => {
          const height = (100 * Math.sqrt(count)) / most;
          return (
            <rect key={index} x={index + 0.06} width={0.88} y={100 - height} height={height}>
              <title>{titleOf(shown, index)}</title>
            </rect>
          );
        })}
      </svg>
      <div class="viewer-marks">
        {[0, 0.5, 1].map((mark) => (
          <span key={mark}>{histogram ? shortText(histogram.low + width * mark, width) : "–"}</span>
        ))}
      </div>
    </section>
  );
}

function titleOf({ histogram }: Shown, index: number): string {
  if (!histogram) {
    return "";
  }
  const width = (histogram.high - histogram.low) / histogram.counts.length;
  const low = histogram.low + index * width;
  return `${shortText(low)} to ${shortText(low + width)}: ${histogram.counts[index].toLocaleString("en")}`;
}
