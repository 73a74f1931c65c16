/** Pollers: values of the admin port that are read again and again while something on the page shows them. */

import { type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { type Problem, problemIn } from "./problem.ts";
import { read } from "./requests.ts";

/** Newest answer. The last data stays while there is a problem: old numbers with a word of their age are better than none. */
export interface Polled<T> {
  readonly data: T | undefined;
  readonly problem: Problem | undefined;
  /** Time of the data by `performance.now`, in ms. */
  readonly atMs: number;
}

/** Longest pause behind failures. */
const MAX_PAUSE_MS = 10_000;

/** Reachability of the gateway, as the last request of any poller has found it. */
export const reachable = signal(true);
/** Time by `performance.now` at which the next request is made while the gateway is not reached. */
export const nextTryMs = signal(0);

export class Poller<T> {
  readonly polled: Signal<Polled<T>> = signal({ data: undefined, problem: undefined, atMs: 0 });
  readonly #path: string;
  readonly #intervalMs: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #abort: AbortController | undefined;
  #failures = 0;
  #users = 0;

  constructor(path: string, intervalMs: number) {
    this.#path = path;
    this.#intervalMs = intervalMs;
  }

  get isUsed(): boolean {
    return this.#users > 0;
  }

  /** Poll for one more user; returns how that one leaves. */
  use(): () => void {
    if (this.#users++ === 0) {
      document.addEventListener("visibilitychange", this.#visible);
      void this.poll();
    }
    return () => {
      if (--this.#users === 0) {
        document.removeEventListener("visibilitychange", this.#visible);
        this.#stop();
      }
    };
  }

  /** Read now; one request is under way at a time. */
  async poll(): Promise<void> {
    this.#stop();
    const abort = new AbortController();
    this.#abort = abort;
    try {
      const data = await read<T>(this.#path, abort.signal);
      this.#failures = 0;
      reachable.value = true;
      this.polled.value = { data, problem: undefined, atMs: performance.now() };
    } catch (error) {
      if (abort.signal.aborted) {
        return;
      }
      const problem = problemIn(error);
      this.#failures++;
      reachable.value = problem.status !== 0;
      this.polled.value = { ...this.polled.value, problem };
    }
    if (this.#abort === abort && this.#users > 0 && !document.hidden) {
      const pauseMs = pauseAfter(this.#failures, this.#intervalMs);
      nextTryMs.value = performance.now() + pauseMs;
      this.#timer = setTimeout(() => void this.poll(), pauseMs);
    }
  }

  readonly #visible = (): void => {
    if (document.hidden) {
      this.#stop();
    } else {
      void this.poll();
    }
  };

  #stop(): void {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#abort = undefined;
  }
}

/** Return the pause before the next request: longer with each failure in a row. */
export function pauseAfter(failures: number, intervalMs: number): number {
  return failures === 0 ? intervalMs : Math.min(MAX_PAUSE_MS, Math.max(1000, intervalMs) * 2 ** (failures - 1));
}

const pollers = new Map<string, Poller<unknown>>();

/** Paths whose last answer is kept for a view that is opened again. */
const KEPT_POLLERS = 64;

/** Return the poller of a path, which all its users share. Of those without users the ones asked for last are kept. */
export function pollerOf<T>(path: string, intervalMs: number): Poller<T> {
  const key = `${intervalMs} ${path}`;
  const found = pollers.get(key) ?? new Poller<unknown>(path, intervalMs);
  pollers.delete(key);
  pollers.set(key, found);
  for (const [old, poller] of pollers) {
    if (pollers.size <= KEPT_POLLERS) {
      break;
    }
    if (old !== key && !poller.isUsed) {
      pollers.delete(old);
    }
  }
  return found as Poller<T>;
}

/** Read a path again and again while the component is there. */
export function usePolled<T>(path: string, intervalMs = 2000): Polled<T> {
  const poller = useMemo(() => pollerOf<T>(path, intervalMs), [path, intervalMs]);
  useEffect(() => poller.use(), [poller]);
  return poller.polled.value;
}
