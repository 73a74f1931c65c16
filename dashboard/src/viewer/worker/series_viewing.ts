/** Viewing of scalars: the last points of one or several streams, as curves of which the chart shows each one. */

import type { Client, Message } from "@frys/client";
import { exactText } from "../numbers/exact_text.ts";
import { numbersOf } from "../numbers/plane.ts";
import { type Curve, joined, type Point, smoothed, TimeSeries, thinned } from "../numbers/time_series.ts";
import type { FromWorker, SeriesShown } from "../posts.ts";
import type { Abscissa, Settings } from "../settings.ts";
import { Paced, type Surface } from "./surface.ts";

const MAX_POINTS = 100_000;
const PERIOD_MS = 120;
/** Share of the time in which curves are made of the points. */
const SHARE = 0.1;

interface Followed {
  readonly name: string;
  readonly series: TimeSeries;
  readonly aborting: AbortController;
  epoch: number;
  text: string;
}

export class SeriesViewing {
  readonly #client: Client;
  readonly #stream: string;
  readonly #surface: Surface;
  readonly #post: (post: FromWorker) => void;
  readonly #followed = new Map<string, Followed>();
  readonly #shown = new Paced(PERIOD_MS, () => this.#postSeries(), SHARE);
  #settings: Settings;
  #span: readonly [from: number, to: number] | undefined;

  constructor(client: Client, stream: string, settings: Settings, surface: Surface, post: (post: FromWorker) => void) {
    this.#client = client;
    this.#stream = stream;
    this.#surface = surface;
    this.#post = post;
    this.#settings = settings;
    this.#follow();
  }

  set settings(settings: Settings) {
    this.#settings = settings;
    this.#follow();
    this.#shown.request();
  }

  /** Show the curves between two places of the axis; undefined: all. */
  set span(span: readonly [from: number, to: number] | undefined) {
    this.#span = span;
    this.#shown.now();
  }

  laid(): void {
    this.#shown.request();
  }

  stop(): void {
    for (const { aborting } of this.#followed.values()) {
      aborting.abort();
    }
    this.#shown.cancel();
  }

  /** Follow the streams of the settings, and no others. */
  #follow(): void {
    const wanted = new Set([this.#stream, ...this.#settings.others]);
    for (const [name, { aborting }] of this.#followed) {
      if (!wanted.has(name)) {
        aborting.abort();
        this.#followed.delete(name);
      }
    }
    for (const name of wanted) {
      if (!this.#followed.has(name)) {
        const followed: Followed = {
          name,
          series: new TimeSeries(MAX_POINTS),
          aborting: new AbortController(),
          epoch: 0,
          text: "",
        };
        this.#followed.set(name, followed);
        void this.#subscribe(followed);
      }
    }
  }

  async #subscribe(followed: Followed): Promise<void> {
    const { signal } = followed.aborting;
    try {
      await this.#client.subscribe(followed.name, {
        since: "beginning",
        observe: true,
        signal,
        onMessage: (message) => this.#received(message, followed),
        onGap: () => undefined,
      });
    } catch (error) {
      if (!signal.aborted) {
        this.#post({ kind: "notice", text: `${followed.name}: ${(error as Error).message}` });
      }
    }
  }

  #received(message: Message, followed: Followed): void {
    const tensor = message.tensors[0];
    if (tensor?.size !== 1) {
      return;
    }
    if (message.epoch !== followed.epoch) {
      followed.epoch = message.epoch;
      followed.series.clear();
    }
    followed.text = exactText(tensor.at(...tensor.shape.map(() => 0)), tensor.dtype);
    followed.series.add(pointOf(message, numbersOf(tensor, this.#settings.part)[0]));
    if (this.#settings.offset === undefined) {
      this.#shown.request();
    }
  }

  #postSeries(): void {
    const all = [...this.#followed.values()];
    const hasSteps = all.some(({ series }) => series.hasSteps);
    // A series without steps has no place on an axis of steps: it would not be seen at all.
    const haveSteps = hasSteps && all.every(({ series }) => series.hasSteps || series.size === 0);
    const abscissa = this.#settings.abscissa ?? (haveSteps ? "step" : "time");
    const { width, ratio } = this.#surface.layout;
    const intervals = Math.max(100, Math.ceil((width || 800) / ratio / 2));
    const curves = all.flatMap(({ series }) => this.#curvesOf(series, abscissa, intervals));
    const series: SeriesShown = {
      names: all.map(({ name }) => name),
      abscissa,
      hasSteps,
      data: joined(curves),
      newest: all.map(
        ({ series: { newest }, text }) => newest && { offset: newest.offset, value: text, step: newest.step },
      ),
      points: all.map(({ series: { size } }) => size),
    };
    this.#post({ kind: "series", series });
  }

  /** Return the curve of a series and its smoothed curve, at the same places. */
  #curvesOf(series: TimeSeries, abscissa: Abscissa, intervals: number): Curve[] {
    const [places, values] = [series.column(abscissa === "time" ? "timeS" : abscissa), series.column("value")];
    let [count, last] = [0, Number.NEGATIVE_INFINITY];
    for (const [index, place] of places.entries()) {
      // Places of a chart grow: a run that has begun again with step 0 goes on where it was before.
      if (place > last) {
        last = place;
        places[count] = place;
        values[count++] = values[index];
      }
    }
    const [x, y] = [places.subarray(0, count), values.subarray(0, count)];
    const smooth = smoothed(y, this.#settings.smoothing);
    const [from, to] = this.#span ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
    const start = Math.max(0, x.findIndex((place) => place >= from) - 1);
    const behind = x.findIndex((place) => place > to);
    const end = behind < 0 ? x.length : behind + 1;
    const curve = (of: Float64Array): Curve =>
      thinned({ x: x.subarray(start, end), y: of.subarray(start, end) }, intervals);
    return [curve(y), curve(smooth)];
  }
}

function pointOf(message: Message, value: number): Point {
  const step = message.headers?.step;
  return {
    offset: Number(message.offset),
    timeS: Number(message.timestampNs / 1000n) / 1e6,
    step: typeof step === "number" || typeof step === "bigint" ? Number(step) : Number.NaN,
    value,
  };
}
