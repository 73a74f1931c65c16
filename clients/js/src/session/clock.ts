/** Clock, timers and chance of the machine, as one value: tests give their own. */

/** Timer that has been set. */
export interface Timer {
  /** Cancel the callback. */
  cancel(): void;
}

/** Sources of time and chance for everything behind the socket. */
export interface Clock {
  /** Return milliseconds by a clock that nobody sets. */
  nowMs(): number;
  /** Return Unix time in ns by this machine's clock as it was at the start; a later step is left out. */
  localNs(): bigint;
  /** Call back once, after so many milliseconds. */
  after(delayMs: number, callback: () => void): Timer;
  /** Return a random number from 0 up to 1. */
  random(): number;
}

export const SYSTEM_CLOCK: Clock = {
  nowMs: () => performance.now(),
  // A double of milliseconds since 1970 is exact to a quarter of a microsecond.
  localNs: () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n,
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
  random: () => Math.random(),
};

/** Return a number below 2^53 at random, for producers and instances. */
export function drawnNumber(clock: Clock): number {
  return Math.floor(clock.random() * Number.MAX_SAFE_INTEGER) + 1;
}
