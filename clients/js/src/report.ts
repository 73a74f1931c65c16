/** Reports: errors that no call can throw, and callbacks of the program (`spec/client.md`, section 8). */

import { FrysError } from "./errors.ts";
import type { Clock } from "./session/clock.ts";

/** Time between two warnings in the log. */
const LOG_INTERVAL_MS = 1000;

/** Function that takes errors which no call can throw. */
export type OnError = (error: Error) => void;

/** Log of the library: warnings that no callback of the program takes, at most one a second. */
export class Reports {
  readonly #clock: Clock;
  readonly #onError: OnError | undefined;
  #loggedMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, onError?: OnError) {
    this.#clock = clock;
    this.#onError = onError;
  }

  /** Report an error to a callback: the given one, or that of the client; otherwise log it. */
  report(error: unknown, onError = this.#onError): void {
    const known = error instanceof Error ? error : new FrysError(String(error));
    if (onError) {
      this.call(() => onError(known));
    } else {
      this.warn(known);
    }
  }

  /** Call back a function of the program; what it throws is logged and has no other effect. */
  call(callback: () => unknown): void {
    try {
      const result = callback();
      if (result instanceof Promise) {
        result.catch((error: unknown) => this.warn(error));
      }
    } catch (error) {
      this.warn(error);
    }
  }

  /** Log a warning, at most one a second. */
  warn(problem: unknown): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#loggedMs >= LOG_INTERVAL_MS) {
      this.#loggedMs = nowMs;
      // biome-ignore lint/suspicious/noConsole: the log of last resort, which the specification asks for
      console.warn("frys:", problem);
    }
  }
}
