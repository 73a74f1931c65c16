/** Search for streams: a pattern for the gateway, or a part of the name for the page. */

import type { StreamData } from "../api/streams.ts";

/** Return the pattern of a search; undefined: the text is a part of names. */
export function patternOf(text: string): string | undefined {
  return text.includes("*") ? text : undefined;
}

/** Return the streams whose name has a text in it; capitals do not count. */
export function found(streams: readonly StreamData[], text: string): readonly StreamData[] {
  const part = text.trim().toLowerCase();
  return part === "" || patternOf(text) ? streams : streams.filter(({ name }) => name.toLowerCase().includes(part));
}
