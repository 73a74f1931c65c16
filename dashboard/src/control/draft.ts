/** Drafts of commands, as the fields of the form have them, and the message that each stands for. */

import type { JsonObject } from "@frys/client";
import { tensorIn, type WrittenDtype, type WrittenTensor } from "./numbers_text.ts";

export interface Draft {
  readonly stream: string;
  /** Headers as JSON; empty: none. */
  readonly headers: string;
  /** Dtype of the tensor; empty: the command has none. */
  readonly dtype: WrittenDtype | "";
  readonly shape: string;
  readonly numbers: string;
}

export const EMPTY_DRAFT: Draft = { stream: "", headers: "", dtype: "", shape: "", numbers: "" };

export interface Command {
  readonly stream: string;
  readonly headers: JsonObject | null;
  readonly tensor: WrittenTensor | null;
}

/** What is wrong with fields of a draft. */
export type Faults = Partial<Record<keyof Draft, string>>;

/** Return the command of a draft, or what keeps it from being one. */
export function commandOf(draft: Draft): { readonly command: Command } | { readonly faults: Faults } {
  const faults: Faults = {};
  const stream = draft.stream.trim();
  if (!stream) {
    faults.stream = "a command needs the name of its stream";
  }
  const { dtype } = draft;
  const headers = tried(faults, "headers", () => headersIn(draft.headers));
  const tensor = dtype ? tried(faults, "numbers", () => tensorIn(draft.numbers, dtype, draft.shape)) : null;
  if (headers === null && tensor === null) {
    faults.headers = "the command is empty: give it headers or a tensor";
  }
  const isWhole = headers !== undefined && tensor !== undefined && Object.keys(faults).length === 0;
  return isWhole ? { command: { stream, headers, tensor } } : { faults };
}

function tried<T>(faults: Faults, field: keyof Draft, make: () => T): T | undefined {
  try {
    return make();
  } catch (error) {
    faults[field] = (error as Error).message;
    return undefined;
  }
}

/** Return the headers in a text; null: it is empty. */
function headersIn(text: string): JsonObject | null {
  if (!text.trim()) {
    return null;
  }
  const parsed: unknown = JSON.parse(text, (key, value: unknown) => {
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
      throw new Error(`the number of ${key} is too large to be exact: write it in quotes`);
    }
    return value;
  });
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new Error('headers are an object such as {"action": "pause"}');
  }
  return parsed as JsonObject;
}

/** Return what a command carries, in a few words. */
export function contentText({ headers, dtype, shape, numbers }: Draft): string {
  const tensor = dtype && `${dtype} ${shape ? `[${shape}]` : shortened(numbers)}`;
  return [shortened(headers), tensor].filter(Boolean).join(" + ");
}

/** Longest text of headers or numbers in a row of the table. */
const SHOWN_CHARS = 80;

function shortened(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > SHOWN_CHARS ? `${line.slice(0, SHOWN_CHARS)}…` : line;
}
