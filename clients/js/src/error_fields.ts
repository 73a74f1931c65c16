/**
 * Error fields: errors as plain values, which cross between threads (`spec/client.md`, section 8).
 *
 * `postMessage` and JSON make an `Error` without class and code of one of this library.
 */

import * as errors from "./errors.ts";

/** Fields of an error, which `postMessage` and JSON keep. */
export interface ErrorFields {
  /** Name of its class. */
  readonly name: string;
  readonly message: string;
  readonly stack?: string | undefined;
  readonly code?: number | undefined;
  readonly problem?: string | undefined;
  readonly retryAfterS?: number | undefined;
}

/** Return the fields of an error, or of whatever else was thrown. */
export function errorFields(thrown: unknown): ErrorFields {
  if (!(thrown instanceof Error)) {
    return { name: "Error", message: String(thrown) };
  }
  const { name, message, stack, code, problem, retryAfterS }: ErrorFields = thrown;
  return { name, message, stack, code, problem, retryAfterS };
}

/** Return the error that has these fields, of the class that it had; of a class that is not of this library an `Error`. */
export function errorFrom(fields: ErrorFields): Error {
  const found: unknown = Object.entries(errors).find(([name]) => name === fields.name)?.[1];
  const isOwn = typeof found === "function" && found.prototype instanceof Error;
  const error = Object.assign(new Error(fields.message), fields);
  return isOwn ? Object.setPrototypeOf(error, found.prototype) : error;
}
