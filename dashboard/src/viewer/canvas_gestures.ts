/** Gestures on the canvas: wheel, drag, pinch and keys, as changes of the viewport. */

import type { Viewport } from "./settings.ts";
import { moved, zoomed } from "./viewport.ts";

/** Place on the plot, from 0 to 1 on each axis. */
interface Place {
  readonly x: number;
  readonly y: number;
}

export interface GestureTarget {
  /** Viewport and plane as they are shown; undefined: nothing is shown that can be moved. */
  view():
    | { readonly viewport: Viewport; readonly plane: { readonly width: number; readonly height: number } }
    | undefined;
  /** Whether only the horizontal axis moves. */
  isFlat(): boolean;
  /** Box of the plot in the canvas, in pixels of the style. */
  plot(): { readonly left: number; readonly top: number; readonly width: number; readonly height: number };
  /** Show another viewport; undefined: the whole. */
  show(viewport: Viewport | undefined): void;
  point(place: Place | undefined): void;
}

const WHEEL = 0.0015;
const KEY_FACTOR = 0.8;
const KEY_STEP = 0.1;

/** Listen to gestures on an element; returns a function that ends it. */
export function listenToGestures(element: HTMLElement, target: GestureTarget): () => void {
  const pointers = new Map<number, Place>();
  const ending = new AbortController();
  const options = { signal: ending.signal };

  const placeOf = (event: { readonly clientX: number; readonly clientY: number }): Place => {
    const box = element.getBoundingClientRect();
    const plot = target.plot();
    return {
      x: (event.clientX - box.left - plot.left) / plot.width,
      y: (event.clientY - box.top - plot.top) / plot.height,
    };
  };
  const show = (change: (viewport: Viewport, plane: { width: number; height: number }) => Viewport): void => {
    const found = target.view();
    if (found) {
      const viewport = change(found.viewport, found.plane);
      target.show(target.isFlat() ? { ...viewport, top: found.viewport.top, bottom: found.viewport.bottom } : viewport);
    }
  };

  element.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const { x, y } = placeOf(event);
      const lines = event.deltaMode === 1 ? 16 : 1;
      show((viewport, plane) => zoomed(viewport, Math.exp(event.deltaY * lines * WHEEL), x, y, plane));
    },
    { ...options, passive: false },
  );
  element.addEventListener(
    "pointerdown",
    (event) => {
      element.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, placeOf(event));
    },
    options,
  );
  element.addEventListener(
    "pointermove",
    (event) => {
      const place = placeOf(event);
      const before = pointers.get(event.pointerId);
      if (!before) {
        target.point(place);
        return;
      }
      const [other] = [...pointers].flatMap(([id, at]) => (id === event.pointerId ? [] : [at]));
      pointers.set(event.pointerId, place);
      if (other) {
        const middle = { x: (place.x + other.x) / 2, y: (place.y + other.y) / 2 };
        const factor = distance(before, other) / Math.max(0.01, distance(place, other));
        show((viewport, plane) => zoomed(viewport, factor, middle.x, middle.y, plane));
      } else {
        show((viewport, plane) => moved(viewport, before.x - place.x, before.y - place.y, plane));
      }
    },
    options,
  );
  for (const name of ["pointerup", "pointercancel"] as const) {
    element.addEventListener(name, (event) => pointers.delete(event.pointerId), options);
  }
  element.addEventListener("pointerleave", () => target.point(undefined), options);
  element.addEventListener("dblclick", () => target.show(undefined), options);
  element.addEventListener(
    "keydown",
    (event) => {
      const change = KEYS[event.key];
      if (change && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        show(change);
      } else if (event.key === "0" || event.key === "Home") {
        target.show(undefined);
      }
    },
    options,
  );
  return () => ending.abort();
}

function distance(a: Place, b: Place): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

type Change = (viewport: Viewport, plane: { readonly width: number; readonly height: number }) => Viewport;

const KEYS: Readonly<Record<string, Change | undefined>> = {
  ArrowLeft: (viewport, plane) => moved(viewport, -KEY_STEP, 0, plane),
  ArrowRight: (viewport, plane) => moved(viewport, KEY_STEP, 0, plane),
  ArrowUp: (viewport, plane) => moved(viewport, 0, -KEY_STEP, plane),
  ArrowDown: (viewport, plane) => moved(viewport, 0, KEY_STEP, plane),
  "+": (viewport, plane) => zoomed(viewport, KEY_FACTOR, 0.5, 0.5, plane),
  "=": (viewport, plane) => zoomed(viewport, KEY_FACTOR, 0.5, 0.5, plane),
  "-": (viewport, plane) => zoomed(viewport, 1 / KEY_FACTOR, 0.5, 0.5, plane),
};
