/** Surface: the canvas of the viewer, as it lies in the page, and the frames in which it is drawn. */

import type { CanvasLayout, Theme } from "../posts.ts";
import type { Context } from "./drawing_heat.ts";

/** Time between two frames where a worker is told of none. */
const FRAME_MS = 16;

export class Surface {
  layout: CanvasLayout = { width: 0, height: 0, ratio: 1 };
  theme: Theme = { text: "#000", muted: "#666", line: "#ddd", ground: "#fff", series: ["#0072b2"] };
  #canvas: OffscreenCanvas | undefined;
  #context: Context | null = null;
  #isRequested = false;
  #draw: () => void = () => undefined;

  set canvas(canvas: OffscreenCanvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { alpha: false });
    this.lay(this.layout, this.theme);
  }

  /** Context to draw by; undefined while there is no canvas of any size. */
  get context(): Context | undefined {
    return this.layout.width && this.layout.height ? (this.#context ?? undefined) : undefined;
  }

  /** Take another size or theme. */
  lay(layout: CanvasLayout, theme: Theme): void {
    this.layout = layout;
    this.theme = theme;
    if (
      this.#canvas &&
      layout.width &&
      (this.#canvas.width !== layout.width || this.#canvas.height !== layout.height)
    ) {
      this.#canvas.width = layout.width;
      this.#canvas.height = layout.height;
    }
    this.touch();
  }

  /** Draw by a function from now on. */
  drawBy(draw: () => void): void {
    this.#draw = draw;
    this.touch();
  }

  /** Draw in the next frame. */
  touch(): void {
    if (this.#isRequested) {
      return;
    }
    this.#isRequested = true;
    const frame = (): void => {
      this.#isRequested = false;
      if (this.context) {
        this.#draw();
      }
    };
    if (typeof requestAnimationFrame === "function") {
      requestAnimationFrame(frame);
    } else {
      setTimeout(frame, FRAME_MS);
    }
  }
}

/**
 * Call a function at most once in a time: at once if it can be, and again behind the last request. With a share, a function that takes
 * long is called less often: it has that share of the time.
 */
export class Paced {
  readonly #leastMs: number;
  readonly #call: () => void;
  readonly #share: number;
  #periodMs: number;
  #calledMs = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(periodMs: number, call: () => void, share = 1) {
    this.#leastMs = this.#periodMs = periodMs;
    this.#call = call;
    this.#share = share;
  }

  request(): void {
    const waitMs = this.#calledMs + this.#periodMs - performance.now();
    if (waitMs <= 0) {
      this.now();
    } else {
      this.#timer ??= setTimeout(() => this.now(), waitMs);
    }
  }

  now(): void {
    this.cancel();
    this.#calledMs = performance.now();
    this.#call();
    this.#periodMs = Math.max(this.#leastMs, (performance.now() - this.#calledMs) / this.#share);
  }

  cancel(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
