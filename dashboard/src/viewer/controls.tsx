/** Controls of the viewer: how a tensor is shown, and which of its versions. */

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Shown } from "./posts.ts";
import { Select } from "./select.tsx";
import type { Session } from "./session.ts";
import { COLOUR_MAPS, type ColourMapName, type ComplexPart, type Mode, PARTS, type Settings } from "./settings.ts";

const MODE_NAMES: Readonly<Record<Mode, string>> = {
  numbers: "Numbers",
  line: "Line",
  heat: "Heat map",
  image: "Image",
  histogram: "Histogram",
  series: "Time series",
  messages: "Messages",
};
const MAP_NAMES: Readonly<Record<ColourMapName, string>> = {
  viridis: "Viridis",
  diverging: "Blue to orange",
  gray: "Gray",
};
const RATES = [1, 5, 10, 30, 60];
const PERCENTS = [0, 0.1, 1, 5];

export function ModeChoice({
  session,
  modes,
  current,
}: {
  readonly session: Session;
  readonly modes: readonly Mode[];
  readonly current: Mode;
}) {
  return (
    <fieldset class="viewer-modes">
      <legend class="viewer-unseen">Show as</legend>
      {modes.map((mode) => (
        <label key={mode} class={mode === current ? "is-chosen" : ""}>
          <input
            type="radio"
            name="viewer-mode"
            checked={mode === current}
            onChange={() => session.change({ mode, zoom: undefined })}
          />
          {MODE_NAMES[mode]}
        </label>
      ))}
    </fieldset>
  );
}

/** Return the modes that a tensor can be shown in. */
export function modesFor(shape: readonly number[]): readonly Mode[] {
  if (!shape.length) {
    return ["numbers"];
  }
  const isImage = shape.length >= 3 && [3, 4].includes(shape[shape.length - 1]);
  const flat: Mode[] = shape.length === 1 ? ["line", "heat"] : ["heat", "line"];
  return [...flat, ...(isImage ? (["image"] as const) : []), "histogram", "numbers"];
}

export function ShowingControls({ session, shown }: { readonly session: Session; readonly shown: Shown }) {
  const settings = session.settings.value;
  const hasColours = shown.mode === "heat";
  const isComplex = shown.tensor.dtype.startsWith("complex");
  return (
    <>
      <ModeChoice session={session} modes={modesFor(shown.tensor.shape)} current={shown.mode} />
      {shown.names.length > 1 || session.facts.value?.newest?.[1] ? (
        <TensorChoice session={session} shown={shown} />
      ) : null}
      {hasColours ? (
        <Select
          label="Colours"
          value={shown.before === undefined ? settings.map : "diverging"}
          choices={COLOUR_MAPS.map((value) => ({ value, name: MAP_NAMES[value] }))}
          onChoice={(map) => session.change({ map })}
        />
      ) : null}
      {hasColours || shown.mode === "line" ? (
        <>
          <Select
            label="Scale"
            value={settings.scale}
            choices={[
              { value: "linear", name: "Linear" },
              { value: "log", name: "Logarithmic" },
            ]}
            onChoice={(scale) => session.change({ scale })}
          />
          <RangeControl session={session} shown={shown} />
        </>
      ) : null}
      {isComplex ? (
        <Select
          label="Part"
          value={settings.part}
          choices={PARTS.map((value) => ({ value, name: value }))}
          onChoice={(part: ComplexPart) => session.change({ part })}
        />
      ) : null}
      <label class="viewer-check" title="Show what has changed since the version before">
        <input
          type="checkbox"
          checked={settings.difference}
          onChange={({ currentTarget }) => session.change({ difference: currentTarget.checked })}
        />
        Difference
      </label>
    </>
  );
}

function TensorChoice({ session, shown }: { readonly session: Session; readonly shown: Shown }) {
  const names = session.facts.value?.newest?.map(({ name }) => name) ?? shown.names;
  return (
    <Select
      label="Tensor"
      value={session.settings.value.tensor ?? shown.tensor.name}
      choices={names.map((value) => ({ value, name: value || "(unnamed)" }))}
      onChoice={(tensor) => session.change({ tensor, zoom: undefined })}
    />
  );
}

/** Control of the range: by percentiles, or two numbers, which begin as those that are shown. */
function RangeControl({ session, shown }: { readonly session: Session; readonly shown: Shown }) {
  const { range } = session.settings.value;
  const choices = [
    ...PERCENTS.map((percent) => ({
      value: `${percent}`,
      name: percent ? `Without ${percent} % ends` : "Least to most",
    })),
    { value: "fixed", name: "Fixed" },
  ];
  const choose = (value: string): void => {
    const { low, high } = shown.range;
    session.change({
      range: value === "fixed" ? { kind: "fixed", low, high } : { kind: "percentile", percent: Number(value) },
    });
  };
  return (
    <>
      <Select
        label="Range"
        value={range.kind === "fixed" ? "fixed" : `${range.percent}`}
        choices={choices}
        onChoice={choose}
      />
      {range.kind === "fixed" ? (
        <span class="viewer-bounds">
          <Bound
            name="from"
            number={range.low}
            onNumber={(low) => low <= range.high && session.change({ range: { ...range, low } })}
          />
          <Bound
            name="to"
            number={range.high}
            onNumber={(high) => high >= range.low && session.change({ range: { ...range, high } })}
          />
        </span>
      ) : null}
    </>
  );
}

function Bound({
  name,
  number,
  onNumber,
}: {
  readonly name: string;
  readonly number: number;
  readonly onNumber: (number: number) => void;
}) {
  return (
    <input
      class="field"
      type="number"
      step="any"
      aria-label={`Range ${name}`}
      value={Number(number.toPrecision(6))}
      onChange={({ currentTarget }) =>
        Number.isFinite(currentTarget.valueAsNumber) && onNumber(currentTarget.valueAsNumber)
      }
    />
  );
}

/** Controls of time: pause, the versions that are kept, and how often new ones come. */
export function TimeControls({
  session,
  children,
}: {
  readonly session: Session;
  readonly children?: ComponentChildren;
}) {
  const settings = session.settings.value;
  const reception = session.reception.value;
  const isPaused = settings.offset !== undefined;
  const canStep = session.shown.value !== undefined && (reception?.versions ?? 0) > 1;
  return (
    <div class="viewer-time">
      <button
        type="button"
        class="button"
        aria-pressed={isPaused}
        onClick={() => (isPaused ? session.change({ offset: undefined }) : session.pause())}
      >
        {isPaused ? "▶ Go on" : "❚❚ Pause"}
      </button>
      {session.shown.value ? (
        <>
          <button
            type="button"
            class="button"
            disabled={!canStep}
            aria-label="Version before"
            title="Version before"
            onClick={() => session.step(-1)}
          >
            ◀
          </button>
          <OffsetField session={session} />
          <button
            type="button"
            class="button"
            disabled={!canStep || !isPaused}
            aria-label="Version after"
            title="Version after"
            onClick={() => session.step(1)}
          >
            ▶
          </button>
          <span class="viewer-kept">{keptText(reception)}</span>
        </>
      ) : null}
      <span class="viewer-space" />
      {session.facts.value?.kind === "state" && session.shown.value ? (
        <RateChoice session={session} settings={settings} />
      ) : null}
      {children}
    </div>
  );
}

function keptText(reception: Session["reception"]["value"]): string {
  return reception?.versions ? `${reception.versions} kept, from ${reception.first}` : "";
}

function OffsetField({ session }: { readonly session: Session }) {
  const [text, setText] = useState<string | undefined>(undefined);
  const offset = session.settings.value.offset ?? session.shown.value?.offset;
  const leave = (): void => {
    if (text && /^\d+$/.test(text)) {
      session.change({ offset: Number(text) });
    }
    setText(undefined);
  };
  return (
    <input
      class="field viewer-offset"
      inputMode="numeric"
      aria-label="Offset of the version shown"
      value={text ?? `${offset ?? ""}`}
      onInput={({ currentTarget }) => setText(currentTarget.value)}
      onKeyDown={(event) => event.key === "Enter" && leave()}
      onBlur={leave}
    />
  );
}

function RateChoice({ session, settings }: { readonly session: Session; readonly settings: Settings }) {
  return (
    <Select
      label="Rate"
      value={`${settings.rateHz}`}
      choices={[...new Set([...RATES, settings.rateHz])]
        .sort((a, b) => a - b)
        .map((rate) => ({ value: `${rate}`, name: `≤ ${rate}/s` }))}
      onChoice={(rate) => session.change({ rateHz: Number(rate) })}
    />
  );
}

/** Sliders of the dimensions that are not on the canvas, and the choice of those that are. */
export function AxisControls({ session, shown }: { readonly session: Session; readonly shown: Shown }) {
  const { shape } = shown.tensor;
  const { rows, columns } = shown.axes;
  const settings = session.settings.value;
  // A matrix is whole on the canvas: sliders and choices are for the dimensions beyond two.
  if (shape.length < 3 || rows === undefined || columns === undefined) {
    return null;
  }
  const axes = shape.map((size, axis) => ({ value: `${axis}`, name: `${axis} (${size.toLocaleString("en")})` }));
  const choose = (chosen: readonly [number, number], other: readonly [number, number]): void =>
    session.change({ axes: chosen[0] === chosen[1] ? other : chosen, zoom: undefined, cell: [0, 0] });
  return (
    <div class="viewer-axes">
      {shown.mode === "image" ? null : (
        <>
          <Select
            label="Down: dimension"
            value={`${rows}`}
            choices={axes}
            onChoice={(axis) => choose([Number(axis), columns], [columns, rows])}
          />
          <Select
            label="Across: dimension"
            value={`${columns}`}
            choices={axes}
            onChoice={(axis) => choose([rows, Number(axis)], [columns, rows])}
          />
        </>
      )}
      {Object.entries(shown.at).map(([axis, index]) => (
        <AxisSlider
          key={axis}
          axis={Number(axis)}
          size={shape[Number(axis)]}
          index={settings.at[Number(axis)] ?? index}
          onIndex={(chosen) => session.change({ at: { ...settings.at, [axis]: chosen } })}
        />
      ))}
    </div>
  );
}

function AxisSlider({
  axis,
  size,
  index,
  onIndex,
}: {
  readonly axis: number;
  readonly size: number;
  readonly index: number;
  readonly onIndex: (index: number) => void;
}) {
  return (
    <label class="viewer-slider">
      <span>Dimension {axis}</span>
      <input
        type="range"
        min={0}
        max={Math.max(0, size - 1)}
        value={index}
        onInput={({ currentTarget }) => onIndex(currentTarget.valueAsNumber)}
      />
      <output>
        {index} of {size.toLocaleString("en")}
      </output>
    </label>
  );
}
