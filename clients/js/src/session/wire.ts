/**
 * Wire: the seam between the socket with its decoder, and everything that a program sees.
 *
 * The far side holds the WebSocket, cuts its messages into frames, reads JSON, puts large messages together, decodes payloads
 * and applies deltas and patches. The near side keeps sessions, subscriptions and publishes. Everything that crosses the seam
 * can be cloned by `postMessage`: the far side may be a Web Worker. {@link SocketWires} is the far side in the same thread.
 */

import type { JsonObject } from "../protocol/exact_json.ts";
import type { Extensions, Extent } from "../protocol/extensions.ts";
import type { SessionMessage } from "../protocol/messages.ts";
import type { TensorSpec } from "../protocol/meta.ts";
import type { Signal } from "../protocol/signals.ts";
import type { DataOpcode } from "../protocol/wire.ts";

/** Part of a state that a patch has replaced, as it was published. */
export interface AppliedPatch {
  readonly spec: TensorSpec;
  /** Indices of each dimension. */
  readonly extents: readonly Extent[];
  readonly payload: Uint8Array;
}

/** Cost of decoding. */
export interface Decoded {
  readonly bytes: number;
  readonly ms: number;
}

/** Complete message with its payload decoded: MESSAGE, BATCH, REQUEST or REPLY. */
export interface Arrival {
  readonly opcode: DataOpcode;
  readonly flags: number;
  /** Id of the stream; of a request the subscription to its group, or 0; of a reply a peer. */
  readonly stream: number;
  readonly publisher: number;
  /** Offset; of a request or reply the correlation. */
  readonly offset: bigint;
  readonly timestamp_ns: bigint;
  /** Number of records of a BATCH. */
  readonly count?: number | undefined;
  readonly specs: readonly TensorSpec[];
  readonly headers: JsonObject | null;
  /** Decoded payload: of a patch that of the complete state. */
  readonly payload: Uint8Array;
  readonly extensions?: Extensions | undefined;
  /** Present if the message arrived as a patch. */
  readonly patch?: AppliedPatch | undefined;
  /** Transfer of a large message, for which a {@link Head} was told before. */
  readonly transfer?: number | undefined;
  /** Time of arrival, of a large message that of its end, by `Clock.localNs`. */
  readonly arrived_ns: bigint;
  /** Bytes that had to be decoded, and the time that this took; absent of a plain payload. */
  readonly decoded?: Decoded | undefined;
}

/** Beginning of a large message. */
export interface Head {
  readonly opcode: "head";
  readonly of: DataOpcode;
  readonly stream: number;
  readonly publisher: number;
  readonly correlation: bigint;
  readonly transfer: number;
  readonly payload_bytes: number;
}

/** Progress of a large reply: another chunk has arrived. */
export interface Progress {
  readonly opcode: "progress";
  readonly publisher: number;
  readonly correlation: bigint;
}

/** Message that cannot be read: it is left out, and the connection lives. */
export interface Failure {
  readonly opcode: "failure";
  /** Opcode of the message; absent for a frame that is no message. */
  readonly of?: DataOpcode | undefined;
  readonly stream: number;
  readonly publisher: number;
  readonly offset: bigint;
  readonly count: number;
  /** Size that the message declares. */
  readonly declared_bytes: number;
  readonly transfer?: number | undefined;
  readonly code: number;
  readonly problem: string;
  /** True if a complete version of the state has to be asked for. */
  readonly needs_keyframe: boolean;
}

/** Item of what arrives, in the order of the connection. */
export type Inbound = SessionMessage | Signal | Arrival | Head | Progress | Failure;

/** First missing chunk of large messages that a lost connection has left, by stream (spec section 6.7). */
export type Resumable = Readonly<Record<string, readonly [transfer: number, index: number]>>;

/** End of a connection. */
export interface WireClosed {
  readonly code: number;
  readonly reason: string;
  /** Seconds after which the gateway wants the client back, if an answer to the handshake has named them. */
  readonly retry_after_s?: number | undefined;
  readonly resumable: Resumable;
}

/** Callbacks of a wire. */
export interface WireEvents {
  /** Begin to send: the handshake is done. */
  opened(): void;
  /** Take what has arrived, in the order of the connection. */
  received(items: readonly Inbound[]): void;
  /** Go on writing: there is room again. */
  drained(): void;
  /** Learn that the connection has ended, or could not be made. Called once, and nothing after it. */
  closed(closed: WireClosed): void;
}

/** One connection. */
export interface Wire {
  /** Bytes that were sent and have not left the process, as far as known. */
  readonly unsentBytes: number;
  /** Send complete frames as one WebSocket message; the buffers may be reused afterwards. */
  send(frames: readonly Uint8Array[]): void;
  /** Close behind everything that was sent. */
  close(code: number, reason: string): void;
  /** End the connection at once. `closed` follows with the code. */
  abort(code: number, reason: string): void;
}

/** Source of connections, for as long as a client lives. It keeps versions of states and partial messages in between. */
export interface Wires {
  connect(url: string, events: WireEvents): Wire;
  /** Forget all that is kept of streams that nobody receives any more. */
  forget(streams: readonly string[]): void;
  /** Give up what connections need: the client is closed. */
  end?(): void;
}

/** Bytes unsent above which writers wait for `drained`, and below which it is called. */
export const HIGH_WATER_BYTES = 1024 * 1024;
export const LOW_WATER_BYTES = 256 * 1024;

/** Close code of a connection that was lost without a close frame (RFC 6455, section 7.1.5). */
export const ABNORMAL = 1006;
