/**
 * JSON whose integers are exact (spec section 2).
 *
 * `JSON.parse` rounds integers above 2^53, but offsets and times have 64 bits. An integer that a `number` cannot hold
 * exactly becomes a `bigint`; all others stay numbers.
 */

import { Code, InvalidArgument, RequestRefused } from "../errors.ts";

export type JsonValue = null | boolean | number | bigint | string | readonly JsonValue[] | JsonObject;

export interface JsonObject {
  readonly [name: string]: JsonValue;
}

/** Depth of arrays and objects; the gateway refuses deeper ones as well. No engine clones any depth for another thread. */
const MAX_DEPTH = 1024;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
// Fewer digits fit a number. A string with so many digits only costs time.
const MANY_DIGITS = /\d{16}/;
const INTEGER = /^-?\d{16,}$/;
const TOKEN = /[{}[\],:]|"(?:[^"\\]+|\\.)*"|[^\s{}[\],:"]+/g;

const DECODER = /* @__PURE__ */ new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const ENCODER = new TextEncoder();

/** Return text from UTF-8; throws a `TypeError` if it is none. */
export function utf8Text(bytes: Uint8Array): string {
  return DECODER.decode(bytes);
}

/** Return the UTF-8 of a text. */
export function utf8Bytes(text: string): Uint8Array {
  return ENCODER.encode(text);
}

/**
 * Parse UTF-8 JSON.
 *
 * @throws RequestRefused `INVALID_REQUEST`, it is none.
 */
export function parseJson(what: string, bytes: Uint8Array): JsonValue {
  try {
    const text = utf8Text(bytes);
    const parsed: JsonValue = JSON.parse(text);
    checkDepth(text);
    return MANY_DIGITS.test(text) ? exactly(text) : parsed;
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new RequestRefused(Code.INVALID_REQUEST, `${what} is not JSON: ${problem}`);
  }
}

/** Refuse a text that `JSON.parse` has accepted, and that is nested too deeply. */
function checkDepth(text: string): void {
  if (text.length <= 2 * MAX_DEPTH) {
    return;
  }
  let depth = 0;
  let isText = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      isText = !isText;
    } else if (isText) {
      at += code === BACKSLASH ? 1 : 0;
    } else if (code === 0x5b || code === 0x7b) {
      depth++;
    } else if (code === 0x5d || code === 0x7d) {
      depth--;
    }
    if (depth > MAX_DEPTH) {
      throw new RangeError(`nested deeper than ${MAX_DEPTH}`);
    }
  }
}

/** Parse a text that `JSON.parse` has accepted, so that its grammar needs no check. */
function exactly(text: string): JsonValue {
  const tokens = text.matchAll(TOKEN);
  const next = (): string => tokens.next().value?.[0] ?? "";
  return valueFrom(next(), next);
}

function valueFrom(token: string, next: () => string): JsonValue {
  if (token === "[") {
    return listFrom(next);
  }
  if (token === "{") {
    return objectFrom(next);
  }
  if (INTEGER.test(token)) {
    const number = Number(token);
    return Number.isSafeInteger(number) ? number : BigInt(token);
  }
  return JSON.parse(token);
}

function listFrom(next: () => string): JsonValue[] {
  const values: JsonValue[] = [];
  for (let token = next(); token !== "]"; token = next()) {
    if (token !== ",") {
      values.push(valueFrom(token, next));
    }
  }
  return values;
}

function objectFrom(next: () => string): JsonObject {
  const fields: Record<string, JsonValue> = {};
  for (let token = next(); token !== "}"; token = next()) {
    if (token !== ",") {
      const name: string = JSON.parse(token);
      next(); // the colon
      // As JSON.parse does: an assignment to `__proto__` would change the object's prototype.
      Object.defineProperty(fields, name, {
        value: valueFrom(next(), next),
        configurable: true,
        enumerable: true,
        writable: true,
      });
    }
  }
  return fields;
}

/** Fields that are left out where they are `undefined`. */
export interface WritableObject {
  readonly [name: string]: JsonValue | undefined;
}

/**
 * Return an object as JSON without spaces; fields that are `undefined` are left out.
 *
 * @param reals paths of fields that are written with a fraction, as `20.0`; those of a field's own fields as `view.max_rate_hz`.
 * @throws InvalidArgument a number that is not finite, or a value that JSON has no form for.
 */
export function writeJson(value: WritableObject, reals: ReadonlySet<string> = NO_PATHS): string {
  return objectText(value, reals, "");
}

const NO_PATHS: ReadonlySet<string> = new Set();

function objectText(value: WritableObject, reals: ReadonlySet<string>, path: string): string {
  const fields: string[] = [];
  for (const [name, field] of Object.entries(value)) {
    if (field !== undefined) {
      fields.push(`${JSON.stringify(name)}:${valueText(field, reals, path + name)}`);
    }
  }
  return `{${fields.join(",")}}`;
}

function valueText(value: JsonValue, reals: ReadonlySet<string>, path: string): string {
  if (value === null || typeof value === "boolean" || typeof value === "string") {
    return JSON.stringify(value);
  }
  if (typeof value === "number" && Number.isFinite(value)) {
    return reals.has(path) && Number.isInteger(value) ? `${value}.0` : String(value);
  }
  if (typeof value === "bigint") {
    return value.toString();
  }
  if (typeof value === "object") {
    return isList(value)
      ? `[${value.map((item) => valueText(item, reals, "[]")).join(",")}]`
      : objectText(value, reals, `${path}.`);
  }
  throw new InvalidArgument(
    `${path}: ${String(value)} cannot be written as JSON: use finite numbers, texts, lists and objects`,
  );
}

function isList(value: readonly JsonValue[] | JsonObject): value is readonly JsonValue[] {
  return Array.isArray(value);
}
