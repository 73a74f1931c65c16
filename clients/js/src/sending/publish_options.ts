/** Options of publishes, and their checks. */

import { InvalidArgument, UsageError } from "../errors.ts";
import { DURABILITIES, type Durability } from "../protocol/durability.ts";
import type { JsonObject } from "../protocol/exact_json.ts";
import { KINDS, type Kind, type Welcome } from "../protocol/messages.ts";
import type { RegionKey } from "../protocol/regions.ts";
import type { ArrayOptions } from "./content.ts";
import type { Declaration } from "./declaration.ts";
import type { CodecName } from "./outbound_message.ts";

/** Options of one message. */
export interface MessageOptions extends ArrayOptions {
  /** Kind of the stream; absent: the stream keeps its kind, and a new one becomes `state`. */
  readonly kind?: Kind | undefined;
  readonly headers?: JsonObject | null | undefined;
  readonly codec?: CodecName | undefined;
}

/** Options of an acknowledged publish. */
export interface PublishOptions extends MessageOptions {
  /** Failures that the message survives. */
  readonly durability?: Durability | undefined;
  /** Tensors of the state (spec section 4.7). */
  readonly schema?: JsonObject | undefined;
  /** Part of the newest state that the value replaces. */
  readonly region?: RegionKey | undefined;
  /** Name of the tensor that `region` is a part of. */
  readonly tensor?: string | undefined;
  /** Time without progress after which the publish fails; by default that of the client. */
  readonly timeoutMs?: number | undefined;
  /** Time after which the message is not delivered any more. */
  readonly expiresInMs?: number | undefined;
  /** Called with the payload bytes that were sent; an error that it throws ends the publish. */
  readonly progress?: ((sentBytes: number, allBytes: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Return what a publish declares.
 *
 * @throws InvalidArgument a kind or durability that there is not.
 */
export function declarationOf({ kind, durability, schema }: PublishOptions): Declaration {
  if (kind !== undefined && !KINDS.includes(kind)) {
    throw new InvalidArgument(`kind '${String(kind)}' is none: use one of ${KINDS.join(", ")}`);
  }
  if (durability !== undefined && !DURABILITIES.includes(durability)) {
    throw new InvalidArgument(`durability '${String(durability)}' is none: use one of ${DURABILITIES.join(", ")}`);
  }
  return { kind, durability, schema };
}

/**
 * Return a time in ns.
 *
 * @throws UsageError it is no time.
 */
export function nsOf(name: string, ms: number | undefined): bigint | undefined {
  if (ms !== undefined && !(Number.isFinite(ms) && ms >= 0)) {
    throw new UsageError(`${name} ${ms} is no time: give milliseconds from 0 on`);
  }
  return ms === undefined ? undefined : BigInt(Math.round(ms * 1e6));
}

/** Return whether a gateway takes what this client encodes. */
export function takesLz4({ codecs, filters }: Welcome): boolean {
  return codecs.includes("lz4") && filters.includes("shuffle");
}
