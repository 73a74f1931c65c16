/** Posts between the page and the worker of the viewer: small values only, for the worker has socket, tensors and canvas. */

import type { Histogram } from "./numbers/histogram.ts";
import type { Statistics } from "./numbers/statistics.ts";
import type { ValueRange } from "./numbers/value_range.ts";
import type { Abscissa, Mode, Settings, Viewport } from "./settings.ts";

/** Colours of the page, for what the worker draws as text and lines. */
export interface Theme {
  readonly text: string;
  readonly muted: string;
  readonly line: string;
  readonly ground: string;
  readonly series: readonly string[];
}

/** Canvas as it lies in the page. */
export interface CanvasLayout {
  /** Pixels of the screen. */
  readonly width: number;
  readonly height: number;
  /** Pixels of the screen to one of the style. */
  readonly ratio: number;
}

export type ToWorker =
  | {
      readonly kind: "open";
      readonly origin: string;
      readonly stream: string;
      readonly settings: Settings;
      /** Token for a gateway that asks for one; null: none. */
      readonly token: string | null;
    }
  | { readonly kind: "canvas"; readonly canvas: OffscreenCanvas }
  | { readonly kind: "layout"; readonly layout: CanvasLayout; readonly theme: Theme }
  | { readonly kind: "settings"; readonly settings: Settings }
  /** Element under the pointer. */
  | { readonly kind: "point"; readonly element: readonly [row: number, column: number] | undefined }
  /** Pause at the version that is so many steps from the one shown. */
  | { readonly kind: "step"; readonly steps: number }
  | { readonly kind: "span"; readonly span: readonly [from: number, to: number] | undefined }
  /** Give the message that is shown as a file. */
  | { readonly kind: "file" }
  | { readonly kind: "close" };

export interface TensorFacts {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** What the gateway says of the stream. */
export interface StreamFacts {
  readonly kind: string;
  readonly epoch: number;
  readonly first_offset: number;
  readonly next_offset: number;
  /** Tensors of the newest message of a state; null of other kinds. */
  readonly newest: readonly TensorFacts[] | null;
}

/** Version on the canvas. */
export interface Shown {
  readonly mode: Mode;
  readonly tensor: TensorFacts;
  /** Tensors of the message. */
  readonly names: readonly string[];
  readonly offset: number;
  readonly epoch: number;
  readonly timestampMs: number;
  readonly latencyS: number;
  readonly headers: string | null;
  /** Dimensions that go down and across; undefined: there are less than two. */
  readonly axes: { readonly rows?: number | undefined; readonly columns?: number | undefined };
  readonly at: Readonly<Record<number, number>>;
  /** Size of the plane in elements. */
  readonly plane: { readonly width: number; readonly height: number };
  readonly viewport: Viewport;
  readonly range: ValueRange;
  readonly hasLogScale: boolean;
  /** Which elements came, in words, and whether these are all. */
  readonly taken: string;
  readonly isWhole: boolean;
  /** Offset of the version that was subtracted. */
  readonly before: number | undefined;
  readonly statistics: Statistics;
  readonly histogram: Histogram | undefined;
  readonly grid: Grid | undefined;
}

/** Cells of the grid of numbers. */
export interface Grid {
  readonly row: number;
  readonly column: number;
  readonly cells: readonly (readonly string[])[];
}

/** Counters of the reception. */
export interface Reception {
  readonly messages: number;
  readonly bytes: number;
  readonly messagesPerS: number;
  readonly bytesPerS: number;
  /** Offsets that can be stepped to. */
  readonly first: number | undefined;
  readonly last: number | undefined;
  readonly versions: number;
}

export interface Pointed {
  readonly index: readonly number[];
  readonly text: string;
  /** Elements around it as they came, in few digits; the distance of two is the step of the view. */
  readonly around: readonly (readonly string[])[];
}

export interface ListedMessage {
  readonly offset: number;
  readonly timestampMs: number;
  readonly publisher: number;
  readonly headers: string | null;
  readonly tensors: readonly { readonly facts: TensorFacts; readonly text: string }[];
}

export interface SeriesShown {
  readonly names: readonly string[];
  readonly abscissa: Abscissa;
  readonly hasSteps: boolean;
  /** Places, and for each stream its curve and its smoothed curve. */
  readonly data: [x: number[], ...y: (number | null)[][]];
  readonly newest: readonly ({ readonly offset: number; readonly value: string; readonly step: number } | undefined)[];
  readonly points: readonly number[];
}

export type FromWorker =
  | { readonly kind: "state"; readonly state: "connecting" | "connected" | "reconnecting" | "closed" }
  | { readonly kind: "facts"; readonly facts: StreamFacts | undefined }
  | { readonly kind: "shown"; readonly shown: Shown }
  | { readonly kind: "paused"; readonly offset: number }
  | { readonly kind: "reception"; readonly reception: Reception }
  | { readonly kind: "pointed"; readonly pointed: Pointed | undefined }
  | { readonly kind: "listed"; readonly messages: readonly ListedMessage[] }
  | { readonly kind: "series"; readonly series: SeriesShown }
  | { readonly kind: "file"; readonly name: string; readonly parts: readonly Uint8Array<ArrayBuffer>[] }
  | { readonly kind: "notice"; readonly text: string | undefined };
