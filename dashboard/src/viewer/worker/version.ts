/** Version: a message of a stream as the viewer keeps it, with the plan by which it came. */

import type { Message, Tensor } from "@frys/client";
import type { Plan } from "./slicing_plan.ts";
import type { Kept } from "./version_history.ts";

export interface Version extends Kept {
  readonly timestampMs: number;
  readonly latencyS: number;
  readonly headers: string | null;
  /** Names of the tensors of the message, as far as it is known. */
  readonly names: readonly string[];
  /** Part of the tensor that came. */
  readonly tensor: Tensor;
  /** Plan of the part; undefined: the whole tensor came. */
  readonly plan: Plan | undefined;
}

/** Return a message as a version; undefined: it has no tensor. */
export function versionOf(message: Message, wanted: string | undefined, plan: Plan | undefined): Version | undefined {
  const { tensors } = message;
  const found = tensors.find(({ name }) => name === wanted) ?? tensors[0];
  if (!found) {
    return undefined;
  }
  const tensor = message.quantization && tensors.length === 1 ? message.dequantized() : found;
  return {
    offset: Number(message.offset),
    epoch: message.epoch,
    bytes: tensor.bytes.byteLength,
    timestampMs: Number(message.timestampNs / 1000n) / 1000,
    latencyS: message.latencyS,
    headers: headersText(message),
    names: tensors.map(({ name }) => name),
    tensor,
    plan,
  };
}

/** Return the headers of a message as JSON; integers above 2^53 are digits there. */
export function headersText({ headers }: Pick<Message, "headers">): string | null {
  return headers && JSON.stringify(headers, (_key, value: unknown) => (typeof value === "bigint" ? `${value}` : value));
}
