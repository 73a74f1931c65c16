/** Streams, as `GET /api/v1/streams` lists them; the OpenAPI document describes all fields. */

import { percent, whole } from "../format/numbers.ts";

export interface TensorShape {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
}

export interface StreamData {
  readonly id: number;
  readonly name: string;
  readonly kind: "state" | "event" | "collaboration" | "control";
  readonly epoch: number;
  readonly durability: string;
  readonly first_offset: number;
  readonly next_offset: number;
  readonly subscribers: number;
  readonly viewers: number;
  readonly observers: number;
  readonly consumers: number;
  readonly pending: number;
  readonly published_bytes: number;
  readonly delivered_messages: number;
  /** Versions and messages that did not reach a receiver, each receiver counted. */
  readonly conflated: number;
  readonly client_conflated: number;
  readonly dropped: number;
  readonly history_bytes: number;
  readonly unacknowledged_bytes: number;
  /** Chains by which the gateway itself encodes payloads; the other receivers get them as published. */
  readonly encodings: readonly { readonly chain: string; readonly ratio: number | null; readonly receivers: number }[];
  readonly newest: readonly TensorShape[] | null;
  /** Rates are null until they have been measured, and where the list is not sorted by one. */
  readonly messages_per_s: number | null;
  readonly bytes_per_s: number | null;
}

/** Streams of one answer at most. */
export const MOST_STREAMS = 1000;

/** Return the path of the busiest streams that a pattern matches. */
export function busiestStreams(limit = MOST_STREAMS, pattern?: string): string {
  const query = new URLSearchParams({ sort: "bytes_per_s", limit: `${limit}`, ...(pattern ? { pattern } : {}) });
  return `/api/v1/streams?${query}`;
}

/** Return a tensor in words: `float32 [256, 64]`. */
export function shapeText({ dtype, shape }: TensorShape): string {
  return `${dtype} [${shape.join(", ")}]`;
}

/** Return the receivers of a stream: of the stream itself, of views of it, and those that only look. */
export function receiversOf({ subscribers, viewers, observers }: StreamData): number {
  return subscribers + viewers + observers;
}

/** Return the encodings of a stream in words: `shuffle+zstd:1 to 43 % for 2`. */
export function encodingText({ encodings }: StreamData): string {
  return encodings
    .map(
      ({ chain, ratio, receivers }) =>
        `${chain}${ratio === null ? "" : ` to ${percent(ratio)}`} for ${whole(receivers)}`,
    )
    .join(", ");
}
