/** Legend of a heat map: its colours with their numbers, and the colour of NaN. */

import { useEffect, useRef } from "preact/hooks";
import { coloursOf, NAN_COLOUR } from "./numbers/colour_maps.ts";
import { shortText } from "./numbers/exact_text.ts";
import type { Shown } from "./posts.ts";
import type { Settings } from "./settings.ts";

const MARKS = [0, 0.25, 0.5, 0.75, 1];

export function Legend({ shown, settings }: { readonly shown: Shown; readonly settings: Settings }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const map = shown.before === undefined ? settings.map : "diverging";
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    const colours = coloursOf(map);
    const pixels = new ImageData(colours.length, 1);
    new Uint32Array(pixels.data.buffer).set(colours);
    context?.putImageData(pixels, 0, 0);
  }, [map]);
  const { low, high } = shown.range;
  const isLog = settings.scale === "log" && map !== "diverging" && shown.hasLogScale;
  const numberAt = (mark: number): number => (isLog ? low * (high / low) ** mark : low + (high - low) * mark);
  return (
    <div class="viewer-legend">
      <div class="viewer-scale">
        <canvas ref={canvas} width={256} height={1} />
        <div class="viewer-marks">
          {(low === high ? [0] : MARKS).map((mark) => (
            <span key={mark}>{shortText(numberAt(mark), isLog ? 0 : high - low)}</span>
          ))}
        </div>
      </div>
      <span class="viewer-nan">
        <i style={{ background: NAN_COLOUR }} />
        NaN
      </span>
    </div>
  );
}
