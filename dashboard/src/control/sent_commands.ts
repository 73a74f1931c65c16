/** Commands that this browser session has published, the newest first; they outlast a reload of the page. */

import { signal } from "@preact/signals";
import type { Draft } from "./draft.ts";

export interface SentCommand {
  /** Number of the command in this session. */
  readonly number: number;
  readonly timeS: number;
  readonly draft: Draft;
  readonly outcome: Outcome;
}

/** Acknowledgement of a command, or why there is none. */
export type Outcome = Acknowledged | { readonly error: string };

/** Acknowledgement by the gateway. */
export interface Acknowledged {
  /** Offset in the stream: text, because it may be above 2^53. */
  readonly offset: string;
  readonly epoch: number;
  readonly latencyS: number;
}

const KEY = "frys.commands";
/** Commands that are kept. */
const KEPT = 20;

export const sentCommands = signal<readonly SentCommand[]>(stored());

/** Remember a command that was published, or refused. */
export function remember(draft: Draft, outcome: Outcome): void {
  const number = (sentCommands.value[0]?.number ?? 0) + 1;
  sentCommands.value = [{ number, timeS: Date.now() / 1000, draft, outcome }, ...sentCommands.value].slice(0, KEPT);
  try {
    sessionStorage.setItem(KEY, JSON.stringify(sentCommands.value));
  } catch {
    // There is no storage, or it is full: they last as long as the page.
  }
}

function stored(): readonly SentCommand[] {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? "[]") as readonly SentCommand[];
  } catch {
    return [];
  }
}
