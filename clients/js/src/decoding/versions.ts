/**
 * Versions: the newest payload of each state that is received, for deltas and patches (spec sections 5.4 and 10).
 *
 * Knows payloads and offsets; does not know subscriptions. Versions outlive connections, by the name of their stream; those of
 * views, which are other streams on each connection, do not.
 */

import { Code, RequestRefused } from "../errors.ts";
import type { JsonObject } from "../protocol/exact_json.ts";
import type { Extent } from "../protocol/extensions.ts";
import { payloadLayout, type TensorSpec } from "../protocol/meta.ts";
import { applyPatch } from "../protocol/regions.ts";

/** Payload below which a version is copied, so that it does not keep the message in which it came. */
const COPIED_BELOW_BYTES = 16 * 1024;

/** Newest version of a state. */
export interface Version {
  readonly epoch: number;
  readonly offset: bigint;
  readonly specs: readonly TensorSpec[];
  readonly headers: JsonObject | null;
  readonly payload: Uint8Array;
}

/** Versions by key: the name of a stream, or a mark of the id of a view. */
export class Versions {
  readonly #kept = new Map<string, Version>();

  /** Keep a version in place of the one before. */
  keep(key: string, version: Version): void {
    const small = version.payload.byteLength < COPIED_BELOW_BYTES;
    const payload = small ? version.payload.slice() : version.payload;
    this.#kept.set(key, { ...version, payload });
  }

  /** Return the newest version; undefined: there is none, or it is of another epoch. */
  of(key: string, epoch: number): Version | undefined {
    const found = this.#kept.get(key);
    return found?.epoch === epoch ? found : undefined;
  }

  /** Forget a version: a newer one has come and could not be read, or nobody needs it. */
  forget(key: string): void {
    this.#kept.delete(key);
  }

  /** Forget all versions whose key a function names. */
  forgetIf(isVoid: (key: string) => boolean): void {
    for (const key of [...this.#kept.keys()].filter(isVoid)) {
      this.#kept.delete(key);
    }
  }
}

/**
 * Return the payload of the version that a patch makes of the one before, in memory of its own.
 *
 * @throws RequestRefused `INVALID_REGION`, the patch does not fit.
 */
export function patched(before: Version, spec: TensorSpec, extents: readonly Extent[], patch: Uint8Array): Uint8Array {
  const index = before.specs.findIndex(({ name }) => name === spec.name);
  const target = before.specs[index];
  if (!target || target.dtype !== spec.dtype) {
    throw new RequestRefused(Code.INVALID_REGION, `a patch of tensor '${spec.name}', which the state has not so`);
  }
  const payload = before.payload.slice();
  const { offsets, payload_bytes } = payloadLayout(before.specs);
  const end = index + 1 < offsets.length ? offsets[index + 1] : payload_bytes;
  applyPatch(payload.subarray(offsets[index], end), target, extents, patch);
  return payload;
}
