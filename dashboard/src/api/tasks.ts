/** Tasks and dead letters, as the admin port tells them; the OpenAPI document describes all fields. */

import type { TensorShape } from "./streams.ts";

export interface ConsumerData {
  readonly client_id: string;
  /** Number of its connection; null: it is away, and waited for. */
  readonly peer: number | null;
  readonly away_s: number | null;
  readonly in_flight: number;
  readonly waiting: number;
  readonly oldest_s: number | null;
  readonly delivered: number;
  readonly redelivered: number;
  readonly expired: number;
  readonly dead_lettered: number;
}

export interface TaskStreamData {
  readonly id: number;
  readonly name: string;
  readonly kind: string;
  readonly pending: number;
  readonly delivered: number;
  readonly redelivered: number;
  readonly expired: number;
  readonly dead_lettered: number;
  readonly present: number;
  readonly absent: number;
  readonly dead_letters: { readonly stream: string; readonly messages: number } | null;
  readonly consumers: readonly ConsumerData[];
}

export interface DeadLetterData {
  readonly stream: string;
  readonly offset: number;
  readonly time_s: number;
  readonly origin: string;
  readonly origin_offset: number;
  readonly client_id: string;
  readonly tries: number;
  readonly reason: string;
  /** Reason for which it cannot be read; null: it can. */
  readonly undecodable: string | null;
  readonly tensors: readonly TensorShape[];
  /** Unix time at which it was sent again; null: it was not since the gateway has started. */
  readonly resent_s: number | null;
}
