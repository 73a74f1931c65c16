/** Time limits: bounds on the time without progress, in which the program itself does not hold up the event loop. */

import { unlessAborted } from "./aborting.ts";
import type { Clock, Timer } from "./clock.ts";

/** Time by which a timer may be late before the event loop counts as held up. */
const LATE_MS = 50;
/** Time in which the event loop hands on what has come, before a limit passes. */
const LAST_LOOK_MS = 20;

export class TimeLimit {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #passed: () => void;
  #deadlineMs: number;
  #timer: Timer | undefined;
  #looked = false;

  /**
   * @param limitMs time without progress; infinite: no limit.
   * @param passed called once, when it has passed.
   */
  constructor(clock: Clock, limitMs: number, passed: () => void) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#passed = passed;
    this.#deadlineMs = clock.nowMs() + limitMs;
    this.#arm();
  }

  /** Begin the limit anew. */
  progressed(): void {
    this.#deadlineMs = this.#clock.nowMs() + this.#limitMs;
    this.#looked = false;
  }

  /** End it. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(): void {
    if (Number.isFinite(this.#limitMs)) {
      const delayMs = Math.max(0, this.#deadlineMs - this.#clock.nowMs());
      const dueMs = this.#clock.nowMs() + delayMs;
      this.#timer = this.#clock.after(delayMs, () => this.#fired(dueMs));
    }
  }

  #fired(dueMs: number): void {
    const lateMs = this.#clock.nowMs() - dueMs;
    if (lateMs > LATE_MS) {
      this.#deadlineMs += lateMs; // the loop was held up, and has yet to read what came
    } else if (this.#clock.nowMs() >= this.#deadlineMs && !this.#looked) {
      this.#looked = true;
      this.#deadlineMs = this.#clock.nowMs() + LAST_LOOK_MS;
    } else if (this.#clock.nowMs() >= this.#deadlineMs) {
      this.#timer = undefined;
      this.#passed();
      return;
    }
    this.#arm();
  }
}

/** Bounds on one call: the time without progress, and the signal by which the program gives it up. */
export interface CallLimits {
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Do work within the limits of a call; what is given up, by time or by the program, is not begun later.
 *
 * @param work gets a signal that is aborted when the call is given up.
 * @param late returns the error once the time has passed.
 */
export async function limited<T>(
  work: (call: AbortSignal) => Promise<T>,
  clock: Clock,
  { timeoutMs = Number.POSITIVE_INFINITY, signal }: CallLimits,
  late: () => Error,
): Promise<T> {
  signal?.throwIfAborted();
  const call = new AbortController();
  const limit = new TimeLimit(clock, timeoutMs, () => call.abort(late()));
  const aborted = (): void => call.abort(signal?.reason);
  signal?.addEventListener("abort", aborted);
  try {
    return await unlessAborted(work(call.signal), call.signal);
  } finally {
    limit.stop();
    signal?.removeEventListener("abort", aborted);
  }
}
