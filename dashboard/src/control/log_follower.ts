/** Follower of the gateway's log: reads the lines that are new, again and again. */

import { type Signal, signal } from "@preact/signals";
import { type Problem, problemIn } from "../api/problem.ts";
import { read } from "../api/requests.ts";

export type LogLevel = "debug" | "info" | "warning" | "error";

export const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warning", "error"];

export interface LogLine {
  /** Number of the line since the start of the gateway. */
  readonly seq: number;
  readonly time_s: number;
  readonly level: LogLevel;
  readonly logger: string;
  readonly text: string;
}

/** Answer of `GET /api/v1/log`. */
export interface LogData {
  readonly lines: readonly LogLine[];
  /** Value of `after` for the lines that follow. */
  readonly next: number;
  /** Lines behind `after` that the gateway does not have any more. */
  readonly missed: number;
}

/** Lines that are kept: as many as the gateway keeps. */
export const KEPT_LINES = 2000;
const INTERVAL_MS = 1000;

export class LogFollower {
  /** The oldest first; undefined: none have been read yet. */
  readonly lines: Signal<readonly LogLine[] | undefined> = signal(undefined);
  readonly missed = signal(0);
  readonly problem: Signal<Problem | undefined> = signal(undefined);
  /** Undefined: the answer may come from a gateway that has started anew. */
  #after: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ending = new AbortController();

  start(): void {
    this.#ending = new AbortController();
    void this.#read(this.#ending.signal);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#ending.abort();
  }

  async #read(ending: AbortSignal): Promise<void> {
    if (!document.hidden) {
      const query = new URLSearchParams({ limit: `${KEPT_LINES}` });
      if (this.#after !== undefined) {
        query.set("after", `${this.#after}`);
      }
      try {
        const data = await read<LogData>(`/api/v1/log?${query}`, ending);
        if (data.lines.length || !this.lines.value) {
          this.lines.value = continued(this.lines.value ?? [], data.lines);
        }
        this.missed.value += data.missed;
        this.#after = data.next;
        this.problem.value = undefined;
      } catch (error) {
        if (!ending.aborted) {
          this.#after = undefined;
          this.problem.value = problemIn(error);
        }
      }
    }
    if (!ending.aborted) {
      this.#timer = setTimeout(() => void this.#read(ending), INTERVAL_MS);
    }
  }
}

/** Return lines with those that were read behind them, without any that is there already. */
export function continued(before: readonly LogLine[], read: readonly LogLine[]): readonly LogLine[] {
  const newest = before.at(-1);
  // A gateway that has started anew counts from 1 again, at a later time.
  const isKnown = (line: LogLine): boolean =>
    newest !== undefined && line.time_s <= newest.time_s && line.seq <= newest.seq;
  return [...before, ...read.filter((line) => !isKnown(line))].slice(-KEPT_LINES);
}

/** Return the lines from a level up that contain a text, whatever its case. */
export function matching(lines: readonly LogLine[], least: LogLevel, contains: string): readonly LogLine[] {
  const from = LOG_LEVELS.indexOf(least);
  const part = contains.toLowerCase();
  return lines.filter(
    ({ level, logger, text }) =>
      LOG_LEVELS.indexOf(level) >= from && (!part || `${logger} ${text}`.toLowerCase().includes(part)),
  );
}
