/** Tensor viewer of one stream: `#/streams/NAME?view=…`. */

import { useEffect, useMemo } from "preact/hooks";
import { route, setQuery } from "../app/router.ts";
import { FileLink } from "../parts/file_link.tsx";
import { Icon } from "../parts/icon.tsx";
import { AxisControls, ShowingControls, TimeControls } from "./controls.tsx";
import { Drawing } from "./drawing.tsx";
import { FactsPanel, HistogramPlot } from "./facts_panel.tsx";
import { Legend } from "./legend.tsx";
import { MessageList } from "./message_list.tsx";
import { NumberGrid } from "./number_grid.tsx";
import type { Shown } from "./posts.ts";
import { SeriesChart, SeriesControls, SeriesTable } from "./series_chart.tsx";
import { Session } from "./session.ts";
import { startWorker } from "./start_worker.ts";

interface ViewerProps {
  readonly stream: string;
}

/** Viewer, whose settings are in the address; another stream is another viewer. */
export function Viewer({ stream }: ViewerProps) {
  return <StreamViewer key={stream} stream={stream} />;
}

function StreamViewer({ stream }: ViewerProps) {
  const { query } = route.value;
  const session = useMemo(() => new Session(startWorker(), stream, route.peek().query, setQuery), [stream]);
  useEffect(() => session.read(query), [session, query]);
  useEffect(() => () => session.close(), [session]);
  const shown = session.shown.value;
  const series = session.series.value;
  const listed = session.listed.value;
  const isDrawn = shown?.mode === "heat" || shown?.mode === "image" || shown?.mode === "line";
  return (
    <div class="viewer">
      <Status session={session} />
      {shown ? (
        <div class="viewer-controls">
          <ShowingControls session={session} shown={shown} />
        </div>
      ) : null}
      {series ? <SeriesControls session={session} series={series} /> : null}
      <div class={shown ? "viewer-body" : "viewer-body is-wide"}>
        <div class="viewer-main">
          <Drawing session={session} isHidden={!isDrawn} />
          {shown ? <TensorPart session={session} shown={shown} /> : null}
          {series ? <SeriesChart session={session} series={series} /> : null}
          {series ? <SeriesTable session={session} series={series} /> : null}
          {listed ? <MessageList messages={listed} /> : null}
          {shown || series || listed ? (
            <TimeControls session={session}>
              <Download session={session} />
            </TimeControls>
          ) : null}
        </div>
        {shown ? <FactsPanel session={session} shown={shown} /> : null}
      </div>
    </div>
  );
}

function TensorPart({ session, shown }: { readonly session: Session; readonly shown: Shown }) {
  const { tensor, statistics } = shown;
  return (
    <>
      {shown.mode === "numbers" ? <NumberGrid session={session} shown={shown} /> : null}
      {shown.mode === "histogram" ? <HistogramPlot shown={shown} isLarge /> : null}
      {shown.mode === "heat" ? <Legend shown={shown} settings={session.settings.value} /> : null}
      <p class="viewer-taken">
        <b>
          {tensor.dtype}{" "}
          {tensor.shape.length ? tensor.shape.map((size) => size.toLocaleString("en")).join(" × ") : "scalar"}
        </b>
        {" · "}
        {statistics.count ? shown.taken : "no elements"}
        {shown.isWhole || !statistics.count ? "" : `: ${statistics.count.toLocaleString("en")} elements came`}
        {shown.before === undefined ? "" : ` · minus version ${shown.before}`}
        {session.settings.value.difference && shown.before === undefined ? " · waiting for a second version" : ""}
        {isPausedAtState(session) && !shown.isWhole ? " · paused: other elements come when you go on" : ""}
        {session.settings.value.zoom ? (
          <button type="button" class="button" onClick={() => session.change({ zoom: undefined })}>
            Show the whole
          </button>
        ) : null}
      </p>
      <AxisControls session={session} shown={shown} />
    </>
  );
}

function isPausedAtState(session: Session): boolean {
  return session.facts.value?.kind === "state" && session.settings.value.offset !== undefined;
}

function Download({ session }: { readonly session: Session }) {
  const shown = session.shown.value;
  if (!shown) {
    return null;
  }
  if (session.facts.value?.kind === "state" && !isPausedAtState(session)) {
    // The page of the stream has a link to a state of one tensor; the gateway gives all of it, whatever came here.
    const query = `?${new URLSearchParams({ tensor: shown.tensor.name })}`;
    return session.facts.value.newest?.[1] ? (
      <FileLink path={`/api/v1/streams/${session.stream}${query}`} name={`${shown.tensor.name || "tensor"}.npy`}>
        Download {shown.tensor.name} as .npy
      </FileLink>
    ) : null;
  }
  return (
    <button type="button" class="button" onClick={() => session.save()}>
      {shown.isWhole ? "Download .npy" : "Download what is shown as .npy"}
    </button>
  );
}

/** Word on what is missing; takes no room as long as all is well. */
function Status({ session }: { readonly session: Session }) {
  const hasShown = session.shown.value ?? session.series.value ?? session.listed.value;
  const text = statusText(session, hasShown !== undefined);
  return text ? (
    <p class="note viewer-status" role="status">
      <Icon name="info" />
      {text}
    </p>
  ) : null;
}

function statusText(session: Session, hasShown: boolean): string | undefined {
  if (session.state.value === "reconnecting" || session.state.value === "closed") {
    return "Connection lost, trying again: what is shown is the last version that came.";
  }
  if (session.notice.value) {
    return session.notice.value;
  }
  if (hasShown) {
    return undefined;
  }
  if (session.facts.value === null) {
    return `There is no stream ${session.stream} yet: it is shown as soon as something is published to it.`;
  }
  return session.facts.value ? "Waiting for the first message." : "Connecting to the gateway.";
}
