/** Canvas of the viewer: given to the worker, which draws on it; the page measures it and listens to gestures. */

import { effect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { isDark } from "../app/theme.ts";
import { listenToGestures } from "./canvas_gestures.ts";
import type { Theme } from "./posts.ts";
import type { Session } from "./session.ts";
import { elementAt, PLOT_MARGIN } from "./viewport.ts";

const NO_MARGIN = { left: 0, right: 0, top: 0, bottom: 0 };
const SERIES = [0, 1, 2, 3, 4, 5].map((number) => `--series-${number}`);

export function Drawing({ session, isHidden }: { readonly session: Session; readonly isHidden: boolean }) {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);

  useEffect(() => {
    const [box, element] = [frame.current, canvas.current];
    if (!box || !element) {
      return undefined;
    }
    session.give(element.transferControlToOffscreen());
    const lay = (): void => {
      const { clientWidth, clientHeight } = box;
      const ratio = Math.min(window.devicePixelRatio || 1, 2);
      const [width, height] = [clientWidth, clientHeight].map((length) => Math.round(length * ratio));
      session.lay({ width, height, ratio }, themeOf(box));
    };
    const sizes = new ResizeObserver(lay);
    sizes.observe(box);
    const endThemes = effect(() => {
      isDark.value;
      requestAnimationFrame(lay);
    });
    const endGestures = listenToGestures(box, {
      view: () => {
        const shown = session.shown.value;
        return shown && { viewport: session.settings.value.zoom ?? shown.viewport, plane: shown.plane };
      },
      isFlat: () => session.shown.value?.mode === "line",
      plot: () => {
        const margin = session.shown.value?.mode === "line" ? PLOT_MARGIN : NO_MARGIN;
        return {
          left: margin.left,
          top: margin.top,
          width: box.clientWidth - margin.left - margin.right,
          height: box.clientHeight - margin.top - margin.bottom,
        };
      },
      show: (zoom) => session.change({ zoom }),
      point: (place) => {
        const shown = session.shown.value;
        const viewport = session.settings.value.zoom ?? shown?.viewport;
        const y = shown?.mode === "line" ? 0.5 : (place?.y ?? 0);
        session.point(place && shown && viewport && elementAt(viewport, place.x, y, shown.plane));
      },
    });
    return () => {
      sizes.disconnect();
      endThemes();
      endGestures();
    };
  }, [session]);

  const shown = session.shown.value;
  const label = shown
    ? `${shown.mode} of ${session.stream}, ${shown.tensor.dtype} ${shown.tensor.shape.join(" × ")}. Arrow keys move, + and − zoom, 0 shows the whole.`
    : `Canvas of ${session.stream}`;
  return (
    <div
      class="viewer-canvas"
      ref={frame}
      hidden={isHidden}
      role="application"
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: keys move and zoom it
      tabIndex={0}
    >
      <canvas ref={canvas} />
    </div>
  );
}

/** Return the colours of the page where an element is. */
export function themeOf(element: Element): Theme {
  const style = getComputedStyle(element);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  return {
    text: colour("--text"),
    muted: colour("--text-muted"),
    line: colour("--grid"),
    ground: colour("--surface"),
    series: SERIES.map((name) => colour(name)),
  };
}
