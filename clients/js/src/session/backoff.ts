/** Pauses before another attempt: of a client to connect, or of a message to be taken (`spec/client.md`, section 3). */

import type { Action } from "../errors.ts";
import type { Clock } from "./clock.ts";

/** Bounds on pauses, in milliseconds. */
export interface Backoff {
  /** Upper bound of the first pause; it doubles with each attempt. */
  readonly baseMs: number;
  /** Largest upper bound. */
  readonly capMs: number;
  /** Time by which each pause is longer if the gateway wants its clients later. */
  readonly laterMs: number;
  /** Time for which a connection has to stand before the pauses begin anew. */
  readonly stableMs: number;
}

export const DEFAULT_BACKOFF: Backoff = { baseMs: 250, capMs: 20_000, laterMs: 2000, stableMs: 5000 };

/** Longest time that a gateway can make a client wait. */
const MOST_RETRY_AFTER_MS = 120_000;

/**
 * Return the milliseconds to wait before an attempt: full jitter, so that clients which were cut off together come back one by
 * one.
 *
 * @param attempt number of attempts that have failed before.
 * @param retryAfterS time that the gateway has named; it takes the place of all but the least jitter.
 */
export function pauseMs(backoff: Backoff, action: Action, attempt: number, clock: Clock, retryAfterS?: number): number {
  if (retryAfterS !== undefined) {
    return Math.min(retryAfterS * 1000, MOST_RETRY_AFTER_MS) + clock.random() * backoff.baseMs;
  }
  const bound = Math.min(backoff.capMs, backoff.baseMs * 2 ** Math.min(attempt, 64));
  return (action === "reconnect_later" ? backoff.laterMs : 0) + clock.random() * bound;
}

/** Pauses of one queue after refusals: from 0 to `min(1 s, 5 ms × 2ⁿ)` (`spec/client.md`, section 4). */
const AGAIN: Backoff = { baseMs: 5, capMs: 1000, laterMs: 0, stableMs: 0 };

export class RefusalPauses {
  readonly #clock: Clock;
  #refusals = 0;
  #refusedMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Return the pause after another refusal; refusals further apart than twice the cap are not in a row. */
  refused(action: Action): number {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#refusedMs >= 2 * AGAIN.capMs) {
      this.#refusals = 0;
    }
    this.#refusedMs = nowMs;
    return pauseMs(AGAIN, action, this.#refusals++, this.#clock);
  }

  /** Take note that a message was taken which had been refused. */
  taken(): void {
    this.#refusals = 0;
  }
}
