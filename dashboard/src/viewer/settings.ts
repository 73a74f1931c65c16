/** Settings of the tensor viewer, as the address has them: a shared link shows the same. */

export const MODES = ["numbers", "line", "heat", "image", "histogram", "series", "messages"] as const;
export type Mode = (typeof MODES)[number];
export const COLOUR_MAPS = ["viridis", "diverging", "gray"] as const;
export type ColourMapName = (typeof COLOUR_MAPS)[number];
export const PARTS = ["magnitude", "phase", "real", "imaginary"] as const;
/** Number that a complex element is shown by. */
export type ComplexPart = (typeof PARTS)[number];
export const ABSCISSAS = ["time", "step", "offset"] as const;
export type Abscissa = (typeof ABSCISSAS)[number];

/** Part of the plane on the canvas, in elements; may reach beyond the tensor. */
export interface Viewport {
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
}

/** Range of the colours: that of the numbers, without a percentage of them at either end, or fixed. */
export type RangeChoice =
  | { readonly kind: "percentile"; readonly percent: number }
  | { readonly kind: "fixed"; readonly low: number; readonly high: number };

export interface Settings {
  /** Absent: by rank, dtype and kind of the stream. */
  readonly mode?: Mode | undefined;
  /** Name of the wanted tensor; absent: the first one. */
  readonly tensor?: string | undefined;
  /** Dimensions that go down and across; absent: the last two. */
  readonly axes?: readonly [rows: number, columns: number] | undefined;
  /** Index in each dimension that is not shown. */
  readonly at: Readonly<Record<number, number>>;
  readonly map: ColourMapName;
  readonly scale: "linear" | "log";
  readonly range: RangeChoice;
  readonly part: ComplexPart;
  /** Whether the difference to the version before is shown. */
  readonly difference: boolean;
  /** Versions a second at most. */
  readonly rateHz: number;
  readonly zoom?: Viewport | undefined;
  /** First row and column of the grid of numbers. */
  readonly cell: readonly [row: number, column: number];
  /** Offset at which the viewer is paused. */
  readonly offset?: number | undefined;
  /** Further streams in the chart of a time series. */
  readonly others: readonly string[];
  /** Share of the curve before in each point of a smoothed curve: 0 to 0.999. */
  readonly smoothing: number;
  /** Absent: the step of the headers if there is one, otherwise the time. */
  readonly abscissa?: Abscissa | undefined;
}

export const DEFAULTS: Settings = {
  at: {},
  map: "viridis",
  scale: "linear",
  range: { kind: "percentile", percent: 0 },
  part: "magnitude",
  difference: false,
  rateHz: 30,
  cell: [0, 0],
  others: [],
  smoothing: 0.6,
};

type Query = Readonly<Record<string, string>>;

/** Return the settings of an address; what cannot be read counts as absent. */
export function settingsOf(query: Query): Settings {
  const [top, bottom, left, right] = numbersIn(query.zoom, 4) ?? [];
  const [row, column] = numbersIn(query.cell, 2) ?? [0, 0];
  const axes = numbersIn(query.axes, 2);
  const rateHz = Number(query.hz);
  return {
    mode: oneOf(MODES, query.view),
    tensor: query.tensor,
    axes: axes && [axes[0], axes[1]],
    at: indicesOf(query.at),
    map: oneOf(COLOUR_MAPS, query.map) ?? DEFAULTS.map,
    scale: query.scale === "log" ? "log" : "linear",
    range: rangeOf(query.range),
    part: oneOf(PARTS, query.part) ?? DEFAULTS.part,
    difference: query.diff === "1",
    rateHz: rateHz >= 0.1 && rateHz <= 60 ? rateHz : DEFAULTS.rateHz,
    zoom: top < bottom && left < right ? { top, bottom, left, right } : undefined,
    cell: [Math.max(0, Math.trunc(row)), Math.max(0, Math.trunc(column))],
    offset: wholeOf(query.offset),
    others: (query.with ?? "").split(",").filter(Boolean),
    smoothing: clamped(query.smooth, 0, 0.999, DEFAULTS.smoothing),
    abscissa: oneOf(ABSCISSAS, query.x),
  };
}

/** Return the address of settings: the fields that are not as they are by default, undefined for the others. */
export function queryOf(settings: Settings): Record<string, string | undefined> {
  const { zoom, cell, range, at, axes } = settings;
  const indices = Object.entries(at).map(([axis, index]) => `${axis}:${index}`);
  return {
    view: settings.mode,
    tensor: settings.tensor,
    axes: axes?.join(":"),
    at: indices.join(",") || undefined,
    map: unless(settings.map, DEFAULTS.map),
    scale: unless(settings.scale, "linear"),
    range: range.kind === "fixed" ? `${range.low}:${range.high}` : range.percent ? `p${range.percent}` : undefined,
    part: unless(settings.part, DEFAULTS.part),
    diff: settings.difference ? "1" : undefined,
    hz: unless(`${settings.rateHz}`, `${DEFAULTS.rateHz}`),
    zoom: zoom && [zoom.top, zoom.bottom, zoom.left, zoom.right].map((edge) => Number(edge.toFixed(3))).join(":"),
    cell: unless(cell.join(":"), "0:0"),
    offset: settings.offset?.toString(),
    with: settings.others.join(",") || undefined,
    smooth: unless(`${settings.smoothing}`, `${DEFAULTS.smoothing}`),
    x: settings.abscissa,
  };
}

function unless(value: string, standard: string): string | undefined {
  return value === standard ? undefined : value;
}

function oneOf<T extends string>(known: readonly T[], text: string | undefined): T | undefined {
  return known.find((each) => each === text);
}

function numbersIn(text: string | undefined, count: number): number[] | undefined {
  const found = text?.split(":").map(Number);
  return found?.length === count && found.every(Number.isFinite) ? found : undefined;
}

function wholeOf(text: string | undefined): number | undefined {
  return text && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function clamped(text: string | undefined, least: number, most: number, standard: number): number {
  const found = Number(text ?? "");
  return text && Number.isFinite(found) ? Math.min(Math.max(found, least), most) : standard;
}

function indicesOf(text: string | undefined): Record<number, number> {
  const pairs = (text ?? "").split(",").flatMap((pair) => {
    const found = /^(\d{1,2}):(\d{1,15})$/.exec(pair);
    return found ? [[Number(found[1]), Number(found[2])] as const] : [];
  });
  return Object.fromEntries(pairs);
}

function rangeOf(text: string | undefined): RangeChoice {
  const percent = /^p(\d+(?:\.\d+)?)$/.exec(text ?? "")?.[1];
  if (percent !== undefined && Number(percent) < 50) {
    return { kind: "percentile", percent: Number(percent) };
  }
  const [low, high] = numbersIn(text, 2) ?? [];
  return low <= high ? { kind: "fixed", low, high } : DEFAULTS.range;
}
