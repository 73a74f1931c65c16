/** Contents of a message: its tensors, checked against what its frame declares before anything is allocated. */

import { Code, RequestRefused } from "../errors.ts";
import { type DataFrame, decodedBytes } from "./data.ts";
import { decode } from "./encoding.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import type { Meta } from "./meta.ts";
import { batchSpec, type Tensor, viewTensors } from "./tensors.ts";

/**
 * Refuse a frame whose payload would not have the size of its tensors, or exceeds the limit of a message.
 *
 * @throws RequestRefused `SIZE_MISMATCH`; `MESSAGE_TOO_BIG`; `INVALID_TENSOR`, no batch can have these tensors.
 */
export function checkDeclared(frame: DataFrame, meta: Meta, maxMessageBytes = DEFAULT_LIMITS.max_message_bytes): void {
  if (frame.count !== undefined) {
    batchSpec(meta.specs, frame.count);
  }
  const expected = meta.payload_bytes * (frame.count ?? 1);
  const declared = decodedBytes(frame);
  if (declared !== expected) {
    throw new RequestRefused(Code.SIZE_MISMATCH, `the payload has ${declared} bytes, its tensors have ${expected}`);
  }
  if (declared > maxMessageBytes) {
    throw new RequestRefused(
      Code.MESSAGE_TOO_BIG,
      `payload of ${declared} bytes exceeds max_message_bytes=${maxMessageBytes}: ask for a view, or raise the limit`,
    );
  }
}

/** Limit of the client, and the earlier payload that a delta needs. */
export interface DecodeOptions {
  readonly maxMessageBytes?: number;
  readonly base?: Uint8Array | undefined;
}

/**
 * Return the tensors of a data frame whose payload is in the frame itself: over the received buffer where it is not encoded.
 *
 * @throws RequestRefused as {@link checkDeclared} and `decode`.
 * @throws UsageError a compressor is not loaded: await `loadCodecs(frame.encoding)` before.
 */
export function tensorsOf(frame: DataFrame, meta: Meta, options: DecodeOptions = {}): Tensor[] {
  checkDeclared(frame, meta, options.maxMessageBytes);
  return viewTensors(meta.specs, decode(frame.encoding, frame.payload, options.base), frame.count);
}
