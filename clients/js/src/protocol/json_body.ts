/**
 * Fields of a JSON object, read by name and type, for bodies of frames (spec section 2).
 *
 * Knows JSON and ranges of integers, not the fields of messages. An optional field that is null counts as absent. A refusal
 * names the field and the type that was found, never the value of a string: the string might be a token.
 *
 * The type of an integer depends on its field alone: a field that may exceed 2^53 is read by {@link JsonBody.long} as
 * `bigint`, whatever its value, every other one by {@link JsonBody.integer} as `number`.
 */

import { Code, RequestRefused } from "../errors.ts";
import { type JsonObject, type JsonValue, parseJson } from "./exact_json.ts";
import { EXACT_MAX, U64_MAX } from "./wire.ts";

/** Fields of one JSON object. Every method that reads a field throws `RequestRefused` (`INVALID_REQUEST`) if the field is
 * missing, of another type or out of range; methods whose name ends in `OrUndefined` return `undefined` for a missing one. */
export class JsonBody {
  readonly #what: string;
  readonly #fields: JsonObject;

  /**
   * @param what name of the object in error texts.
   * @param fields the object.
   */
  constructor(what: string, fields: JsonObject) {
    this.#what = what;
    this.#fields = fields;
  }

  /**
   * Parse UTF-8 JSON, which must be an object.
   *
   * @throws RequestRefused `INVALID_REQUEST`.
   */
  static parse(what: string, bytes: Uint8Array): JsonBody {
    const fields = parseJson(what, bytes);
    if (!isObject(fields)) {
      throw new RequestRefused(Code.INVALID_REQUEST, `${what} must be a JSON object, met ${typeOf(fields)}`);
    }
    return new JsonBody(what, fields);
  }

  /** Return whether the field is present and not null. */
  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  /** Return the value of a field as it is; `undefined` if it is absent or null. */
  get(name: string): JsonValue | undefined {
    return Object.hasOwn(this.#fields, name) ? (this.#fields[name] ?? undefined) : undefined;
  }

  /** Return the names of all fields. */
  names(): string[] {
    return Object.keys(this.#fields);
  }

  /** Return an integer that a `number` holds exactly. */
  integer(name: string, maximum = EXACT_MAX, minimum = 0): number {
    const value = this.#required(name);
    if (typeof value === "bigint" || (typeof value === "number" && Number.isInteger(value))) {
      if (value < minimum || value > maximum) {
        throw this.#refused(name, `must be from ${minimum} to ${maximum}, met ${value}`);
      }
      return Number(value);
    }
    throw this.#wrong(name, "an integer", value);
  }

  integerOrUndefined(name: string, maximum = EXACT_MAX, minimum = 0): number | undefined {
    return this.has(name) ? this.integer(name, maximum, minimum) : undefined;
  }

  /** Return an integer of up to 64 bits. */
  long(name: string, minimum = 0n): bigint {
    const value = this.#required(name);
    if (typeof value === "bigint" || (typeof value === "number" && Number.isInteger(value))) {
      if (value < minimum || value > U64_MAX) {
        throw this.#refused(name, `must be from ${minimum} to ${U64_MAX}, met ${value}`);
      }
      return BigInt(value);
    }
    throw this.#wrong(name, "an integer", value);
  }

  longOrUndefined(name: string, minimum = 0n): bigint | undefined {
    return this.has(name) ? this.long(name, minimum) : undefined;
  }

  /** Return a finite number, at least 0. */
  number(name: string): number {
    const value = this.#required(name);
    if (typeof value !== "number" && typeof value !== "bigint") {
      throw this.#wrong(name, "a number", value);
    }
    const number = Number(value);
    if (!Number.isFinite(number) || number < 0) {
      throw this.#refused(name, `must be finite and not negative, met ${value}`);
    }
    return number;
  }

  numberOrUndefined(name: string): number | undefined {
    return this.has(name) ? this.number(name) : undefined;
  }

  booleanOrUndefined(name: string): boolean | undefined {
    const value = this.get(name);
    if (value !== undefined && typeof value !== "boolean") {
      throw this.#wrong(name, "a boolean", value);
    }
    return value;
  }

  text(name: string): string {
    const value = this.#required(name);
    if (typeof value !== "string") {
      throw this.#wrong(name, "a string", value);
    }
    return value;
  }

  textOrUndefined(name: string): string | undefined {
    return this.has(name) ? this.text(name) : undefined;
  }

  /** Return a list of strings; empty if it is absent. */
  texts(name: string): string[] {
    const values = this.has(name) ? this.#list(name) : [];
    return values.map((value) => {
      if (typeof value !== "string") {
        throw this.#wrong(name, "a list of strings", value);
      }
      return value;
    });
  }

  /** Return a list of integers of 0 or more. */
  integers(name: string): number[] {
    return this.#list(name).map((value) => {
      if (typeof value !== "number" || !Number.isInteger(value) || value < 0) {
        throw this.#wrong(name, "a list of integers of 0 or more", value);
      }
      return value;
    });
  }

  /** Return two integers of 0 or more, the first up to a maximum and the second of up to 64 bits. */
  pair(name: string, firstMax: number): [number, bigint] {
    const values = this.#list(name);
    if (values.length !== 2) {
      throw this.#refused(name, `must be two integers, met ${values.length} values`);
    }
    const both = new JsonBody(`${this.#what}.${name}`, { first: values[0], second: values[1] });
    return [both.integer("first", firstMax), both.long("second")];
  }

  /** Return one of several names. */
  choice<T extends string>(name: string, choices: readonly T[]): T {
    const value = this.text(name);
    const chosen = choices.find((choice) => choice === value);
    if (chosen === undefined) {
      throw this.#refused(name, `must be one of ${choices.join(", ")}, met ${JSON.stringify(value.slice(0, 80))}`);
    }
    return chosen;
  }

  choiceOrUndefined<T extends string>(name: string, choices: readonly T[]): T | undefined {
    return this.has(name) ? this.choice(name, choices) : undefined;
  }

  /** Return the object in a field. */
  nested(name: string): JsonBody {
    return new JsonBody(`${this.#what}.${name}`, this.mapping(name));
  }

  /** Return a list of objects. */
  objects(name: string): JsonBody[] {
    return this.#list(name).map((value) => {
      if (!isObject(value)) {
        throw this.#wrong(name, "a list of objects", value);
      }
      return new JsonBody(`${this.#what}.${name}`, value);
    });
  }

  /** Return the object in a field as it is. */
  mapping(name: string): JsonObject {
    const value = this.#required(name);
    if (!isObject(value)) {
      throw this.#wrong(name, "an object", value);
    }
    return value;
  }

  mappingOrUndefined(name: string): JsonObject | undefined {
    return this.has(name) ? this.mapping(name) : undefined;
  }

  #list(name: string): readonly JsonValue[] {
    const value = this.#required(name);
    if (!Array.isArray(value)) {
      throw this.#wrong(name, "a list", value);
    }
    return value;
  }

  #required(name: string): JsonValue {
    const value = this.get(name);
    if (value === undefined) {
      throw this.#refused(name, "is required");
    }
    return value;
  }

  #wrong(name: string, wanted: string, value: JsonValue): RequestRefused {
    return this.#refused(name, `must be ${wanted}, met ${typeOf(value)}`);
  }

  #refused(name: string, reason: string): RequestRefused {
    return new RequestRefused(Code.INVALID_REQUEST, `${this.#what}: field '${name.slice(0, 80)}' ${reason}`);
  }
}

/** Return whether a JSON value is an object. */
export function isObject(value: JsonValue): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Return the JSON type of a value, with its article. */
export function typeOf(value: JsonValue): string {
  if (value === null) {
    return "null";
  }
  if (typeof value === "number" || typeof value === "bigint") {
    return `the number ${value}`;
  }
  if (typeof value === "object") {
    return Array.isArray(value) ? "a list" : "an object";
  }
  return `a ${typeof value}`;
}
