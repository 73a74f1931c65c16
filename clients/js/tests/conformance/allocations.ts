/** Memory that hostile bytes make the client take. */

import { onTestFinished, vi } from "vitest";

/** Watch arrays of bytes until the test ends; returns a function that tells the size of the largest so far. */
export function largestArray(): () => number {
  let largest = 0;
  const watched = new Proxy(globalThis.Uint8Array, {
    construct(target, args: unknown[], newTarget) {
      if (typeof args[0] === "number") {
        largest = Math.max(largest, args[0]);
      }
      return Reflect.construct(target, args, newTarget);
    },
  });
  vi.stubGlobal("Uint8Array", watched);
  onTestFinished(() => void vi.unstubAllGlobals());
  return () => largest;
}
