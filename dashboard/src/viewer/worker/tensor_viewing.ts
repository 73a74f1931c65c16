/** Viewing of tensors: versions come by a view that fits the canvas, are kept for a while, and one of them is drawn. */

import type { Client, Message } from "@frys/client";
import { npyFile } from "../numbers/npy_file.ts";
import type { FromWorker, StreamFacts, TensorFacts } from "../posts.ts";
import type { Settings } from "../settings.ts";
import { PLOT_MARGIN } from "../viewport.ts";
import { Sheet } from "./drawing_heat.ts";
import { drawLines } from "./drawing_lines.ts";
import { type Presented, planeSize, pointedOf, presented, shownOf, viewportOf } from "./presenting.ts";
import { Reception, type Wish } from "./reception.ts";
import { fittingMode, isOf, type Plan, planOf } from "./slicing_plan.ts";
import { tensorIn } from "./stream_facts.ts";
import { Paced, type Surface } from "./surface.ts";
import { type Version, versionOf } from "./version.ts";
import { VersionHistory } from "./version_history.ts";

const MAX_KEPT_BYTES = 96 * 1024 * 1024;
const MAX_KEPT = 512;
/** Messages of an event stream that are asked for from the past. */
const PAST = 64;
/** Versions a second of the grid of numbers: nobody reads more. */
const GRID_HZ = 8;
/** Cell of the grid of numbers, in pixels of the style. */
const CELL = { width: 100, height: 23 };
/** Share of the time for the statistics of what is shown. */
const SHOWN_SHARE = 0.1;
const PERIODS_MS = { shown: 30, plan: 120, reception: 500, retry: 700 };

export class TensorViewing {
  readonly #surface: Surface;
  readonly #post: (post: FromWorker) => void;
  readonly #reception: Reception;
  readonly #history = new VersionHistory<Version>(MAX_KEPT_BYTES, MAX_KEPT);
  readonly #sheet = new Sheet();
  readonly #shown = new Paced(PERIODS_MS.shown, () => this.#postShown(), SHOWN_SHARE);
  readonly #planning = new Paced(PERIODS_MS.plan, () => this.#want());
  readonly #counting: ReturnType<typeof setInterval>;
  #facts: StreamFacts;
  #settings: Settings;
  /** Whole shape of the messages of a stream that is no state. */
  #learned: TensorFacts | undefined;
  /** Names of the tensors of whole messages. */
  #names: readonly string[] = [];
  #presented: Presented | undefined;
  /** Version and settings by which the sheet is coloured. */
  #coloured: readonly unknown[] = [];
  /** Version and elements that a pause calls for, and those that were looked for in history. */
  readonly #sought: { wish?: string | undefined; done?: string | undefined } = {};
  #point: readonly [number, number] | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(
    client: Client,
    stream: string,
    facts: StreamFacts,
    settings: Settings,
    surface: Surface,
    post: (post: FromWorker) => void,
  ) {
    this.#facts = facts;
    this.#settings = settings;
    this.#surface = surface;
    this.#post = post;
    this.#reception = new Reception(client, stream, {
      received: (message, wish) => this.#received(message, wish),
      failed: (error) => this.#failed(error),
    });
    this.#counting = setInterval(() => this.#postReception(), PERIODS_MS.reception);
    surface.drawBy(() => this.#draw());
    this.#want();
  }

  set facts(facts: StreamFacts) {
    this.#facts = facts;
    this.#planning.request();
  }

  set settings(settings: Settings) {
    const before = this.#settings;
    this.#settings = settings;
    this.#presented = undefined;
    if (before.tensor !== settings.tensor) {
      this.#learned = undefined;
      this.#history.clear(); // its versions are of another tensor
    }
    // A canvas that is moved asks for the rest when it rests for a moment; all else at once.
    if (JSON.stringify({ ...before, zoom: 0 }) === JSON.stringify({ ...settings, zoom: 0 })) {
      this.#planning.request();
    } else {
      this.#planning.now();
    }
    this.#surface.touch();
    this.#shown.request();
  }

  laid(): void {
    this.#planning.request();
  }

  point(element: readonly [number, number] | undefined): void {
    this.#point = element;
    this.#postPointed();
  }

  step(steps: number): void {
    const from = this.#settings.offset ?? this.#history.newest?.offset;
    const found = from === undefined ? undefined : this.#history.stepped(from, steps)?.offset;
    if (from === undefined || found === undefined) {
      return;
    }
    // Behind the oldest one that has come the gateway may have more; of a state nobody keeps any.
    const isEnd = found >= from && steps < 0 && this.#facts.kind !== "state";
    this.#post({ kind: "paused", offset: isEnd ? Math.max(this.#facts.first_offset, from + steps) : found });
  }

  file(stream: string): void {
    const found = this.#presented?.version;
    if (found) {
      const name = `${stream.slice(stream.lastIndexOf("/") + 1)}-${found.offset}.npy`;
      this.#post({ kind: "file", name, parts: npyFile(found.tensor) });
    }
  }

  stop(): void {
    this.#reception.stop();
    clearInterval(this.#counting);
    clearTimeout(this.#retry);
    this.#shown.cancel();
    this.#planning.cancel();
  }

  /** Ask for the messages that the settings call for; for none while the version that is paused at is there. */
  #want(): void {
    const { offset, tensor: wanted, rateHz } = this.#settings;
    const isState = this.#facts.kind === "state";
    const whole = isState ? tensorIn(this.#facts.newest ?? [], wanted) : this.#learned;
    if (isState && !whole) {
      return; // nothing was published yet, so that there is no shape to plan by
    }
    const mode = whole && fittingMode(this.#settings.mode, whole.shape, whole.dtype);
    const plan = whole && mode && planOf(whole.shape, mode, this.#settings, this.#zoomOf(mode), this.#room(mode));
    if (offset !== undefined && this.#isEnough(offset, plan)) {
      this.#reception.stop();
      return;
    }
    const hasSeveral = (this.#facts.newest ?? this.#names).length > 1;
    const since = this.#history.newest?.offset ?? this.#facts.next_offset - PAST;
    void this.#reception.want({
      plan,
      tensor: hasSeveral ? whole?.name : undefined,
      rateHz: isState ? (mode === "numbers" ? Math.min(rateHz, GRID_HZ) : rateHz) : undefined,
      since: isState ? undefined : Math.max(this.#facts.first_offset, offset === undefined ? since : offset - 1),
    });
  }

  /**
   * Whether the version that is paused at is there, in the elements of the plan. Of a state any version will do: those before are
   * gone, and the newest would be another one.
   */
  #isEnough(offset: number, plan: Plan | undefined): boolean {
    const kept = this.#history.at(offset);
    if (!kept || this.#facts.kind === "state") {
      return kept !== undefined;
    }
    const wish = `${offset} ${JSON.stringify(plan?.cuts)}`;
    const isThere = kept.offset === offset && (!kept.plan || wish === `${offset} ${JSON.stringify(kept.plan.cuts)}`);
    if (!isThere && this.#sought.done === wish) {
      return true; // the gateway has lost it
    }
    this.#sought.wish = wish;
    return isThere;
  }

  #zoomOf(mode: string): Settings["zoom"] {
    return mode === "histogram" || mode === "numbers" ? undefined : this.#settings.zoom;
  }

  #room(mode: string): { readonly width: number; readonly height: number } {
    const { width, height, ratio } = this.#surface.layout;
    if (mode === "numbers") {
      return {
        width: Math.max(1, Math.floor(width / ratio / CELL.width)),
        height: Math.max(1, Math.floor(height / ratio / CELL.height) - 1),
      };
    }
    const beside = mode === "line" ? (PLOT_MARGIN.left + PLOT_MARGIN.right) * ratio : 0;
    return { width: Math.max(64, width - beside), height: Math.max(64, height) };
  }

  #received(message: Message, { plan }: Wish): void {
    const found = versionOf(message, this.#settings.tensor, plan);
    if (!found || this.#isPast(found)) {
      return;
    }
    if (plan && !isOf(plan, found.tensor.shape)) {
      this.#learned = undefined; // messages have got another shape
      this.#planning.request();
      return;
    }
    if (!plan) {
      this.#names = found.names;
    }
    const version = { ...found, names: this.#names.length > 1 ? this.#names : found.names };
    if (!plan && this.#facts.kind !== "state") {
      const { name, dtype, shape } = version.tensor;
      const isNew = this.#learned?.shape.join() !== shape.join();
      this.#learned = { name, dtype, shape };
      if (isNew) {
        this.#planning.request();
      }
    }
    this.#history.add(version);
    this.#post({ kind: "notice", text: undefined });
    if (this.#settings.offset !== undefined) {
      this.#planning.request();
    }
    this.#surface.touch();
    this.#shown.request();
  }

  /** Whether the version is behind the one that is paused at: of an event stream the rest of the history would follow. */
  #isPast({ offset }: Version): boolean {
    const paused = this.#settings.offset;
    if (paused === undefined || !this.#history.size || offset <= paused) {
      return false;
    }
    this.#sought.done = this.#sought.wish;
    this.#reception.stop();
    return true;
  }

  #failed(error: Error): void {
    this.#learned = undefined;
    this.#post({ kind: "notice", text: error.message });
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#want(), PERIODS_MS.retry);
  }

  #present(): Presented | undefined {
    const { offset } = this.#settings;
    const version = offset === undefined ? this.#history.newest : this.#history.at(offset);
    if (version && this.#presented?.version !== version) {
      this.#presented = presented(version, this.#history.before(version), this.#settings) ?? this.#presented;
    }
    return this.#presented;
  }

  #draw(): void {
    const found = this.#present();
    const { context, layout, theme } = this.#surface;
    if (!found || !context) {
      return;
    }
    const { mode, plane, plan, range, map, isLog, tensor } = found;
    const viewport = viewportOf(found, this.#zoomOf(mode), layout);
    if (mode === "line") {
      drawLines(context, layout, layout.ratio, plane, plan, viewport, range, isLog, theme);
    } else if (mode === "heat" || mode === "image") {
      if (this.#coloured[0] !== found) {
        this.#coloured = [found];
        if (mode === "image") {
          this.#sheet.copy(plane, tensor.dtype === "uint8" && !found.before);
        } else {
          this.#sheet.colour(plane, range, map, isLog);
        }
      }
      this.#sheet.draw(context, layout, plan, viewport, theme);
    }
  }

  #postShown(): void {
    const found = this.#present();
    if (found) {
      this.#post({
        kind: "shown",
        shown: shownOf(found, this.#settings, viewportOf(found, this.#zoomOf(found.mode), this.#surface.layout)),
      });
      this.#postPointed();
    }
  }

  #postPointed(): void {
    const found = this.#presented;
    const pointed = found && this.#point && planeSize(found).width ? pointedOf(found, this.#point) : undefined;
    this.#post({ kind: "pointed", pointed });
  }

  #postReception(): void {
    const { messages, bytes } = this.#reception;
    const { oldest, newest, size } = this.#history;
    this.#post({
      kind: "reception",
      reception: {
        messages,
        bytes,
        ...this.#reception.rates(),
        first: oldest?.offset,
        last: newest?.offset,
        versions: size,
      },
    });
  }
}
