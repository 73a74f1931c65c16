/** Errors that name the option which a program has misspelt, or given another type. */

import { InvalidArgument } from "./errors.ts";
import { areKnown, isKnown, type KnownOptions } from "./option_check.ts";

/** Letters from the first on by which an option that is meant is told. */
const LEAST_ALIKE = 4;

/** Options of what is sent, for calls whose code is loaded when they are first made. */
const CONTENT_OPTIONS: KnownOptions = "r dtype codec;j shape headers";
export const REPLY_OPTIONS = CONTENT_OPTIONS;
export const REQUEST_OPTIONS: KnownOptions = `${CONTENT_OPTIONS};m timeoutMs expiresInMs;j signal`;
export const MESSAGE_OPTIONS: KnownOptions = `${CONTENT_OPTIONS};r kind`;
export const PUBLISH_OPTIONS: KnownOptions = `${REQUEST_OPTIONS};r kind durability tensor;j schema region;n progress`;

const TYPES: Readonly<Record<string, string>> = {
  r: "string",
  m: "number",
  n: "function",
  j: "object",
  o: "boolean",
  g: "bigint",
};

/**
 * Check options, and name what is wrong with them.
 *
 * @param call the call that takes them, for the message.
 * @throws InvalidArgument an option that there is none of, or that has another type.
 */
export function checkOptions(call: string, options: object, known: KnownOptions): void {
  if (!areKnown(options, known)) {
    throw optionFault(call, options, known);
  }
}

/** Return the error of options that {@link areKnown} refuses. */
export function optionFault(call: string, options: object, known: KnownOptions): InvalidArgument {
  if (typeof options !== "object" || options === null) {
    const given = options === null ? "null" : typeof options;
    return new InvalidArgument(`${call} takes its options as an object, not as ${given}`);
  }
  const [name, value] = Object.entries(options).find(([name, value]) => !isKnown(name, value, known)) ?? ["", null];
  const names = namesIn(known);
  if (!names.includes(name)) {
    const meant = names.reduce((best, each) => (alike(each, name) > alike(best, name) ? each : best));
    const help = alike(meant, name) < LEAST_ALIKE ? `known are ${names.join(", ")}` : `use ${meant}`;
    return new InvalidArgument(`${call} has no option '${name}': ${help}`);
  }
  const letters = groupsIn(known).flatMap(([letter, ...others]) => (others.includes(name) ? letter : []));
  const types = letters.map((letter) => TYPES[letter]).join(" or ");
  const rule = typeof value === "number" && letters.includes("m") ? "0 or more" : types;
  return new InvalidArgument(`option ${name} of ${call} is '${String(value)}', a ${typeof value}: give ${rule}`);
}

export function namesIn(known: KnownOptions): string[] {
  return groupsIn(known).flatMap(([, ...names]) => names);
}

function groupsIn(known: KnownOptions): string[][] {
  return known.split(";").map((group) => group.split(" "));
}

/** Return the number of letters from the first on in which two names are alike. */
function alike(name: string, other: string): number {
  const [letters, others] = [name.toLowerCase(), other.toLowerCase()];
  let count = 0;
  while (count < letters.length && letters[count] === others[count]) {
    count++;
  }
  return count;
}
