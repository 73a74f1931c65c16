/** Outbound message: one publish, request or reply on its way, over all connections. */

import type { RequestRefused } from "../errors.ts";
import type { Extensions } from "../protocol/extensions.ts";
import type { Ack } from "../protocol/signals.ts";
import { chunkCount, chunkSize } from "../protocol/transfers.ts";
import { type DataOpcode, Opcode } from "../protocol/wire.ts";
import type { GatewayClock } from "../session/gateway_clock.ts";
import { type Content, heldBytesOf } from "./content.ts";
import type { Declaration } from "./declaration.ts";

/** Codec of a message: a browser encodes by lz4 only; `auto` does so where a sample shows that it pays. */
export type CodecName = "none" | "lz4" | "auto";

/** Callbacks of a message to the call that sends it. */
export interface Sending {
  /** Time after its first refusal in which a message is sent again. */
  readonly timeoutMs: number;
  /** The gateway has answered: a publish is acknowledged, or a large request or reply is taken. */
  taken(ack: Ack | undefined): void;
  failed(error: Error): void;
  /** More of the payload was sent. */
  progressed(sentBytes: number): void;
}

export interface OutboundFields {
  readonly opcode: DataOpcode;
  readonly content: Content;
  /** Any of ACK, FAILED and MORE. */
  readonly flags: number;
  /** Records of a BATCH. */
  readonly count?: number | undefined;
  /** Time of the call by this machine's clock. */
  readonly calledNs: bigint;
  readonly expiresInNs?: bigint | undefined;
  readonly extensions?: Extensions | undefined;
  readonly codec: CodecName;
  readonly declaration: Declaration;
  /** Absent of a publish that nobody waits for. */
  readonly sending?: Sending | undefined;
}

let calls = 0;

export class OutboundMessage {
  readonly fields: OutboundFields;
  /** Place in the order of the calls. */
  readonly turn: number;
  /** Sequence or correlation under which it was sent. */
  sequence: bigint | undefined;
  /** Whether its last frame was written on the present connection. */
  ended = false;
  /** Whether a head was written, on whatever connection. */
  begun = false;
  /** Whether an earlier connection may have carried all of it, and since when, by `Clock.nowMs`. */
  lostMs: number | undefined;
  /** Last refusal for which it is sent again. */
  postponed: RequestRefused | undefined;
  /** Time of its first refusal, by `Clock.nowMs`. */
  refusedMs: number | undefined;
  /** Whether the call was given up. */
  abandoned = false;
  /** Bytes of its frames. */
  frameBytes = 0;
  /** Bytes of its payload as sent. */
  sentBytes = 0;
  /** Decoded size of its chunks, once it was begun: the same on all connections. */
  chunkBytes = 0;
  #timestampNs: bigint | undefined;

  constructor(fields: OutboundFields, turn = calls++) {
    this.fields = fields;
    this.turn = turn;
  }

  /** Memory that it holds while it waits. */
  get heldBytes(): number {
    return heldBytesOf(this.fields.content);
  }

  /** Return the message, or of a record batch with a larger payload batches that have its records, in their order. */
  parts(maxBytes: number): [OutboundMessage, ...OutboundMessage[]] {
    const { count, content, ...fields } = this.fields;
    if (count === undefined || this.payloadBytes <= maxBytes) {
      return [this];
    }
    const recordBytes = this.payloadBytes / count;
    const most = Math.max(1, Math.floor(maxBytes / recordBytes));
    const part = (first: number): OutboundMessage => {
      const records = Math.min(most, count - first);
      const payload = content.payload.subarray(first * recordBytes, (first + records) * recordBytes);
      const kind = records > 1 ? { count: records } : { opcode: Opcode.MESSAGE };
      return new OutboundMessage({ ...fields, content: { ...content, payload }, ...kind }, this.turn);
    };
    const further = Array.from({ length: Math.ceil(count / most) - 1 }, (_, index) => part((index + 1) * most));
    return [part(0), ...further];
  }

  get payloadBytes(): number {
    return this.fields.content.payload.byteLength;
  }

  get count(): number {
    return this.fields.count ?? 1;
  }

  /** Return the time of the call by the gateway's clock, which stays as it was sent first. */
  timestampNs(clock: GatewayClock): bigint {
    this.#timestampNs ??= clock.atGateway(this.fields.calledNs);
    return this.#timestampNs;
  }

  /** Return the extensions to send. */
  extensions(clock: GatewayClock, resuming: boolean): Extensions | undefined {
    const { extensions, expiresInNs } = this.fields;
    const deadline = expiresInNs === undefined ? {} : { deadline_ns: this.timestampNs(clock) + expiresInNs };
    const all = { ...extensions, ...deadline, ...(resuming && { resuming }) };
    return Object.keys(all).length ? all : undefined;
  }

  /** Return whether it travels in one frame. */
  fitsOneFrame(chunkBytes: number, frameBytes: number): boolean {
    const { meta } = this.fields.content;
    const most =
      this.lostMs === undefined ? Math.max(chunkBytes, Math.min(2 * chunkBytes, ONE_FRAME_BYTES)) : chunkBytes;
    const isBatch = this.fields.count !== undefined;
    return !this.begun && meta.byteLength + this.payloadBytes <= frameBytes && (isBatch || this.payloadBytes <= most);
  }

  /** Return the chunk of an index: its first and its last byte. */
  chunk(index: number): readonly [start: number, end: number] {
    const plan = { transfer: 0, chunk_bytes: this.chunkBytes, payload_bytes: this.payloadBytes };
    const start = index * this.chunkBytes;
    return [start, start + chunkSize(plan, index)];
  }

  get chunks(): number {
    return chunkCount({ transfer: 0, chunk_bytes: this.chunkBytes, payload_bytes: this.payloadBytes });
  }

  /** Begin again: the connection was lost, or the gateway refused it for now. */
  restart(): void {
    this.ended = false;
  }
}

/** Largest payload in one frame, if chunks are larger than half of it (spec section 6). */
const ONE_FRAME_BYTES = 1024 * 1024;
