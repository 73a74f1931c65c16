/** Declaration: properties of a stream that a publish names (spec section 4.1). */

import { Code, RequestRefused } from "../errors.ts";
import type { Durability } from "../protocol/durability.ts";
import { type JsonObject, writeJson } from "../protocol/exact_json.ts";
import type { Kind, StreamInfo } from "../protocol/messages.ts";

export interface Declaration {
  readonly kind?: Kind | undefined;
  readonly durability?: Durability | undefined;
  readonly schema?: JsonObject | undefined;
}

/** Return whether a declaration names nothing that another one has not declared. */
export function isWithin(asked: Declaration, declared: Declaration): boolean {
  return (
    (asked.kind === undefined || asked.kind === declared.kind) &&
    (asked.durability === undefined || asked.durability === declared.durability) &&
    (asked.schema === undefined || isSameSchema(asked.schema, declared.schema))
  );
}

function isSameSchema(one: JsonObject, other: JsonObject | undefined): boolean {
  return other !== undefined && writeJson(one) === writeJson(other);
}

/** Return a declaration that names all that either names, the newer one first. */
export function merged(newer: Declaration, older: Declaration): Declaration {
  return {
    kind: newer.kind ?? older.kind,
    durability: newer.durability ?? older.durability,
    schema: newer.schema ?? older.schema,
  };
}

/**
 * Return whether a stream has what a declaration names; false: an OPEN of its own has to tell.
 *
 * @throws RequestRefused `KIND_MISMATCH`, `DURABILITY_MISMATCH` or `SCHEMA_MISMATCH`.
 */
export function holds(asked: Declaration, { stream, kind, durability, schema }: StreamInfo): boolean {
  if (asked.kind !== undefined && asked.kind !== kind) {
    throw new RequestRefused(Code.KIND_MISMATCH, `stream ${stream} is ${kind}, not ${asked.kind}`);
  }
  if (asked.durability !== undefined && asked.durability !== (durability ?? "memory")) {
    const found = durability ?? "memory";
    throw new RequestRefused(Code.DURABILITY_MISMATCH, `stream ${stream} is ${found}, not ${asked.durability}`);
  }
  if (asked.schema === undefined) {
    return true;
  }
  if (schema === undefined) {
    return false;
  }
  if (!isSameSchema(asked.schema, schema)) {
    throw new RequestRefused(Code.SCHEMA_MISMATCH, `stream ${stream} has schema ${writeJson(schema)}`);
  }
  return true;
}
