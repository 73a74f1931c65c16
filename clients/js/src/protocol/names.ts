/**
 * Rules of names: streams, patterns and client ids (spec sections 3.1 and 4).
 *
 * Every `check` function returns its argument, or throws `RequestRefused` with `INVALID_NAME`.
 */

import { Code, InvalidArgument, RequestRefused } from "../errors.ts";

export const MAX_NAME_BYTES = 255;
const MAX_CLIENT_ID_BYTES = 128;
const SHOWN_CHARS = 80;

// All allowed characters are ASCII, so that a length in characters is one in bytes.
export const SEGMENT = String.raw`(?!\.\.?(?:/|$))[A-Za-z0-9._-]+`;
const ENDING = String.raw`(?:\.[A-Za-z0-9._-]+)?`;
export const STREAM = new RegExp(`^${SEGMENT}(?:/${SEGMENT})+$`);
const CLIENT_ID = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;
const PATTERN = new RegExp(`^(?:(?:(?:${SEGMENT}|\\*${ENDING})/)+(?:${SEGMENT}|\\*\\*?${ENDING})|\\*\\*${ENDING})$`);

/** Ending of the names of streams of dead letters, to which only the gateway publishes (spec section 4.9). */
const DEAD_LETTER_ENDING = ".dead";

/** Return the error for a name that breaks a rule. */
export function invalid(kind: string, value: string, rule: string): RequestRefused {
  const shown = value.length > SHOWN_CHARS ? `${value.slice(0, SHOWN_CHARS)}...` : value;
  return new RequestRefused(Code.INVALID_NAME, `${kind} '${shown}' is not ${rule}`);
}

/** Check that a name is text at all. */
export function checkText(kind: string, value: string): string {
  if (typeof value !== "string") {
    throw new InvalidArgument(`a ${kind} is a string, met ${typeof value}`);
  }
  return value;
}

/** Check the name of a stream to which a client publishes. */
export function checkPublishedName(name: string): string {
  if (checkText("stream", name).length > MAX_NAME_BYTES || !STREAM.test(name)) {
    throw invalid("stream", name, "two or more segments of letters, digits, '.', '_', '-' joined by '/'");
  }
  if (name.endsWith(DEAD_LETTER_ENDING)) {
    const problem = `${name} is a stream of dead letters, to which only the gateway publishes`;
    throw new RequestRefused(Code.FORBIDDEN, `${problem}: use a name without that ending`);
  }
  return name;
}

/** Check the pattern of a subscription: a stream, or a pattern of streams. */
export function checkPattern(pattern: string): string {
  if (checkText("pattern", pattern).length > MAX_NAME_BYTES || !PATTERN.test(pattern)) {
    const rule = "a stream name in which a segment may be '*' or '*.ending', or the last one '**' or '**.ending'";
    throw invalid("pattern", pattern, rule);
  }
  return pattern;
}

/** Check a client's id, or the name of a group, which follows the same rule. */
export function checkClientId(clientId: string, kind = "client id"): string {
  if (!isClientId(checkText(kind, clientId))) {
    throw invalid(kind, clientId, "letters, digits, '.', '_', '-', 128 at most, the first a letter or digit");
  }
  return clientId;
}

/** Return whether a name is that of a client or a group. */
export function isClientId(name: string): boolean {
  return name.length <= MAX_CLIENT_ID_BYTES && CLIENT_ID.test(name);
}

/** Return a function that tells whether a valid pattern matches the name of a stream. */
export function matcherOf(pattern: string): (name: string) => boolean {
  if (!pattern.includes("*")) {
    return (name) => name === pattern;
  }
  const expression = new RegExp(`^${pattern.split("/").map(expressionOf).join("/")}$`);
  return (name) => expression.test(name);
}

function expressionOf(segment: string): string {
  const ending = segment.replace(/^\*+/, "").replaceAll(".", String.raw`\.`);
  switch (/^\**/.exec(segment)?.[0].length) {
    case 0:
      return ending;
    case 1:
      return ending ? `[^/]*${ending}` : "[^/]+";
    default:
      return ending ? `.*${ending}` : ".+";
  }
}
