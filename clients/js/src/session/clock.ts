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

/** Longest time of a timer of the platform, which fires at once if it is to take longer. */
const MOST_TIMER_MS = 2 ** 31 - 1;

function timer(delayMs: number, callback: () => void): Timer {
  let id: ReturnType<typeof setTimeout>;
  const arm = (leftMs: number): void => {
    const rest = leftMs - MOST_TIMER_MS;
    id = setTimeout(() => (rest > 0 ? arm(rest) : callback()), Math.min(leftMs, MOST_TIMER_MS));
  };
  arm(delayMs);
  return { cancel: () => clearTimeout(id) };
}

/** Call back in a later turn of the event loop. Timers of a hidden page fire once a second, or once a minute: messages do not. */
function soon(callback: () => void): Timer {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    callback();
  };
  port2.postMessage(0);
  return {
    cancel: () => {
      port1.onmessage = null;
      port1.close();
    },
  };
}

export const SYSTEM_CLOCK: Clock = {
  nowMs: () => performance.now(),
  // A double of milliseconds since 1970 is exact to a quarter of a microsecond.
  localNs: () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n,
  after: (delayMs, callback) =>
    delayMs <= 0 && typeof document !== "undefined" ? soon(callback) : timer(delayMs, callback),
  random: () => Math.random(),
};

/** Return a number below 2^53 at random, for producers and instances. */
export function drawnNumber(clock: Clock): number {
  return Math.floor(clock.random() * Number.MAX_SAFE_INTEGER) + 1;
}
