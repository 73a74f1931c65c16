/** Chart of time series: the curves of several streams as the worker has thinned and smoothed them. */

import { effect } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { hashOf } from "../app/router.ts";
import { isDark } from "../app/theme.ts";
import { axisTime, clockTime } from "../format/times.ts";
import { DASHES } from "../parts/chart.tsx";
import { themeOf } from "./drawing.tsx";
import { shortText } from "./numbers/exact_text.ts";
import type { SeriesShown, Theme } from "./posts.ts";
import { Select } from "./select.tsx";
import type { Session } from "./session.ts";
import type { Abscissa } from "./settings.ts";

const AXIS_NAMES: Readonly<Record<Abscissa, string>> = { time: "Time", step: "Step (header)", offset: "Offset" };

export function SeriesChart({ session, series }: { readonly session: Session; readonly series: SeriesShown }) {
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | undefined>(undefined);
  const [spanned, setSpanned] = useState(false);
  const key = `${series.names.join()}|${series.abscissa}`;

  useEffect(() => {
    const element = box.current;
    if (!element) {
      return undefined;
    }
    const make = (): void => {
      chart.current?.destroy();
      chart.current = new uPlot(
        optionsOf(
          series,
          themeOf(element),
          element,
          (span) => {
            session.span(span);
            setSpanned(span !== undefined);
          },
          (hovered) => {
            session.hovered.value = hovered;
          },
        ),
        latest.current as uPlot.AlignedData,
        element,
      );
    };
    const endThemes = effect(() => {
      isDark.value;
      requestAnimationFrame(make);
    });
    const sizes = new ResizeObserver(() => chart.current?.setSize(sizeOf(element)));
    sizes.observe(element);
    return () => {
      sizes.disconnect();
      endThemes();
      chart.current?.destroy();
      chart.current = undefined;
    };
  }, [key]);

  const latest = useRef(series.data);
  latest.current = series.data;
  useEffect(() => chart.current?.setData(series.data as uPlot.AlignedData), [series.data]);

  return (
    <div class="viewer-series">
      <div class="viewer-chart" ref={box} role="img" aria-label={`Curves of ${series.names.join(", ")}`} />
      {spanned ? (
        <button
          type="button"
          class="button viewer-all"
          onClick={() => {
            session.span(undefined);
            setSpanned(false);
          }}
        >
          Show all
        </button>
      ) : null}
    </div>
  );
}

function sizeOf({ clientWidth, clientHeight }: Element): { width: number; height: number } {
  return { width: clientWidth, height: clientHeight };
}

function optionsOf(
  { names, abscissa }: SeriesShown,
  theme: Theme,
  element: Element,
  onSpan: (span: readonly [number, number] | undefined) => void,
  onHover: (hovered: Session["hovered"]["value"]) => void,
): uPlot.Options {
  const whole = (): null => {
    onSpan(undefined);
    return null;
  };
  const axis: uPlot.Axis = {
    stroke: theme.muted,
    grid: { stroke: theme.line, width: 1 },
    ticks: { stroke: theme.line, width: 1 },
    font: "11px system-ui, sans-serif",
  };
  return {
    ...sizeOf(element),
    legend: { show: false },
    cursor: { drag: { x: true, y: false }, bind: { dblclick: () => whole } },
    scales: { x: { time: abscissa === "time" } },
    axes: [
      abscissa === "time" ? { ...axis, space: 90, values: (_chart, times) => times.map(axisTime) } : axis,
      { ...axis, size: 64, values: (_chart, ticks) => ticks.map((tick) => shortText(tick)) },
    ],
    series: [
      {},
      ...names.flatMap((_, index) => {
        const stroke = theme.series[index % theme.series.length];
        const shared = { stroke, spanGaps: true, points: { show: false } };
        // The points as they came, faint behind their smoothed curve.
        return [
          { ...shared, width: 1, alpha: 0.3 },
          { ...shared, width: 2, dash: [...DASHES[index % DASHES.length]] },
        ];
      }),
    ],
    hooks: {
      setCursor: [
        ({ cursor: { idx }, data }) => {
          const [places, ...curves] = data;
          // The curves as they came stand before their smoothed ones.
          const values = names.map((_, index) => curves[2 * index]?.[idx ?? 0] ?? null);
          onHover(typeof idx === "number" && places.length ? { place: places[idx], values } : undefined);
        },
      ],
      setSelect: [
        (chart) => {
          const { left, width } = chart.select;
          if (width > 4) {
            onSpan([chart.posToVal(left, "x"), chart.posToVal(left + width, "x")]);
          }
        },
      ],
    },
  };
}

/** Controls of the chart, and its streams with their newest values. */
export function SeriesControls({ session, series }: { readonly session: Session; readonly series: SeriesShown }) {
  const { smoothing, others } = session.settings.value;
  return (
    <div class="viewer-controls">
      <label class="viewer-slider">
        <span>Smoothing</span>
        <input
          type="range"
          min={0}
          max={0.99}
          step={0.01}
          value={smoothing}
          onInput={({ currentTarget }) => session.change({ smoothing: currentTarget.valueAsNumber })}
        />
        <output>{smoothing.toFixed(2)}</output>
      </label>
      <Select
        label="Over"
        value={series.abscissa}
        choices={(["step", "time", "offset"] as const).map((value) => ({
          value,
          name: AXIS_NAMES[value],
          isDisabled: value === "step" && !series.hasSteps,
        }))}
        onChoice={(abscissa: Abscissa) => session.change({ abscissa })}
      />
      <form
        class="viewer-add"
        onSubmit={(event) => {
          event.preventDefault();
          const field = event.currentTarget.elements.namedItem("stream") as HTMLInputElement;
          const name = field.value.trim();
          if (name && name !== session.stream && !others.includes(name)) {
            session.change({ others: [...others, name] });
          }
          field.value = "";
        }}
      >
        <input
          class="field"
          name="stream"
          placeholder="Add a stream, as run-1/accuracy"
          aria-label="Name of a further stream"
        />
        <button type="submit" class="button">
          Add
        </button>
      </form>
    </div>
  );
}

export function SeriesTable({ session, series }: { readonly session: Session; readonly series: SeriesShown }) {
  const { others } = session.settings.value;
  const hovered = session.hovered.value;
  return (
    <table class="viewer-table">
      <thead>
        <tr>
          <th scope="col">Stream</th>
          <th scope="col">Newest</th>
          <th scope="col">Under the pointer</th>
          <th scope="col">Step</th>
          <th scope="col">Offset</th>
          <th scope="col">Points</th>
          <th scope="col">
            <span class="viewer-unseen">Remove</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {series.names.map((name, index) => {
          const newest = series.newest[index];
          return (
            <tr key={name}>
              <td>
                <i class={`legend-line series-${index % 6}`} />
                <a href={hashOf(["streams", ...name.split("/")])}>{name}</a>
              </td>
              <td>{newest?.value ?? "no points yet"}</td>
              <td class="viewer-hovered">{hovered ? hoveredText(hovered, index, series.abscissa) : "–"}</td>
              <td>{newest && !Number.isNaN(newest.step) ? newest.step.toLocaleString("en") : "–"}</td>
              <td>{newest?.offset.toLocaleString("en") ?? "–"}</td>
              <td>{series.points[index].toLocaleString("en")}</td>
              <td>
                {index ? (
                  <button
                    type="button"
                    class="button button-quiet"
                    aria-label={`Remove ${name}`}
                    onClick={() => session.change({ others: others.filter((other) => other !== name) })}
                  >
                    ✕
                  </button>
                ) : null}
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function hoveredText(
  { place, values }: NonNullable<Session["hovered"]["value"]>,
  index: number,
  abscissa: Abscissa,
): string {
  const value = values[index];
  return value === null ? "–" : `${shortText(value)} at ${abscissa === "time" ? clockTime(place) : place}`;
}
