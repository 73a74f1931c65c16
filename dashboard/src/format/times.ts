/** Times as people read them. */

import { digits, NONE } from "./numbers.ts";

/** Return a length of time, of two units at most: `1.5 ms`, `12 s`, `3 min 5 s`, `2 d 4 h`. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) {
    return NONE;
  }
  if (seconds < 0) {
    return `−${duration(-seconds)}`;
  }
  if (!Number.isFinite(seconds)) {
    return "∞";
  }
  if (seconds < 59.95) {
    return short(seconds);
  }
  const whole = Math.round(seconds);
  return whole < 3600
    ? two(whole, 60, "min", "s")
    : whole < 86_400
      ? two(Math.round(whole / 60), 60, "h", "min")
      : two(Math.round(whole / 3600), 24, "d", "h");
}

function short(seconds: number): string {
  if (seconds === 0) {
    return "0 s";
  }
  return seconds < 999.5e-6
    ? `${digits(seconds * 1e6)} µs`
    : seconds < 0.9995
      ? `${digits(seconds * 1e3)} ms`
      : `${digits(seconds)} s`;
}

function two(count: number, base: number, large: string, small: string): string {
  const rest = count % base;
  return `${Math.floor(count / base)} ${large}${rest ? ` ${rest} ${small}` : ""}`;
}

/** Return the time of the day of a Unix time, with seconds. */
export function clockTime(unixS: number): string {
  return new Date(unixS * 1000).toLocaleTimeString("en-GB");
}

/** Return the time of the day for an axis: without seconds, or parts of them, that are none. */
export function axisTime(unixS: number): string {
  const ms = Math.round(unixS * 1000);
  return ms % 1000 ? exactClockTime(ms / 1000) : clockTime(unixS).slice(0, unixS % 60 === 0 ? 5 : 8);
}

/** Return the time of the day of a Unix time, to the millisecond. */
export function exactClockTime(unixS: number): string {
  const ms = Math.floor(unixS * 1000) % 1000;
  return `${clockTime(unixS)}.${`${ms}`.padStart(3, "0")}`;
}
