/** Send queue: messages to one stream, address or asker, in the order of the calls, kept over connections. */

import { Code, type RequestRefused } from "../errors.ts";
import { bytesOf } from "../protocol/buffers.ts";
import { checksumOf } from "../protocol/checksum.ts";
import { type DataFields, writeData } from "../protocol/data.ts";
import { encode } from "../protocol/encoding.ts";
import { writeSignal } from "../protocol/signals.ts";
import { writeChunk } from "../protocol/transfers.ts";
import { Opcode } from "../protocol/wire.ts";
import { RefusalPauses } from "../session/backoff.ts";
import type { Timer } from "../session/clock.ts";
import type { Session } from "../session/session.ts";
import { CodecChoice, type Way } from "./codec_choice.ts";
import type { OutboundMessage } from "./outbound_message.ts";
import { takesLz4 } from "./publish_options.ts";
import type { Sender } from "./sender.ts";
import { WaitingMessages } from "./waiting_messages.ts";

/** Place of a message on the wire: `stream` and `offset` of its frame, and frames that go before it. */
export interface Placed {
  readonly stream: number;
  readonly offset: bigint;
  readonly before: readonly Uint8Array[];
}

/** Large message that is being sent. */
interface Large {
  readonly message: OutboundMessage;
  readonly session: Session;
  readonly transfer: number;
  index: number;
  checksum: number;
  /** Whether chunks wait for RESUME. */
  asking: boolean;
  readonly way: Way;
}

/** Payload below which an encoding is not worth its block. */
const MIN_ENCODED_BYTES = 256;

export abstract class SendQueue {
  protected readonly sender: Sender;
  protected readonly waiting = new WaitingMessages();
  #large: Large | undefined;
  /** Large messages that the gateway has not said yet to take, by transfer. */
  readonly #unconfirmed = new Map<number, OutboundMessage>();
  readonly #pauses: RefusalPauses;
  readonly #choice = new CodecChoice();
  #pause: Timer | undefined;
  /** Message that is sent once more after a refusal, until it is answered. */
  #probe: OutboundMessage | undefined;

  constructor(sender: Sender) {
    this.sender = sender;
    this.#pauses = new RefusalPauses(sender.clock);
  }

  /** Whether nothing waits to be sent. */
  get idle(): boolean {
    return !this.waiting.size;
  }

  /** Messages that wait, the one that is being sent among them. */
  get unsent(): number {
    return this.waiting.size;
  }

  /** Memory of what waits. */
  get heldBytes(): number {
    return this.waiting.heldBytes;
  }

  /** Send a message behind those that were submitted before. */
  submit(message: OutboundMessage): void {
    this.waiting.add(message);
    this.sender.wake(this);
  }

  /** Return the place of a message; undefined: it cannot be sent now, and the queue is woken when that may change. */
  protected abstract place(session: Session, message: OutboundMessage): Placed | undefined;

  /** Take note that the last frame of a message is written. */
  protected abstract written(message: OutboundMessage): void;

  /** Whether large messages ask before their first chunk. */
  protected get confirms(): boolean {
    return false;
  }

  /**
   * Send one frame.
   *
   * @returns false: nothing can be sent now.
   */
  step(session: Session): boolean {
    const { first } = this.waiting;
    if (!first || this.#pause) {
      return false;
    }
    if (this.#large) {
      return this.#large.message === first && this.#stepLarge(this.#large);
    }
    if (this.#probe && this.#probe !== first) {
      return false;
    }
    const message = this.#fitting(first, session);
    try {
      return this.#begin(session, message);
    } catch (error) {
      this.drop(message);
      message.fields.sending?.failed(error as Error);
      if (!message.fields.sending) {
        this.sender.report(error);
      }
      return true;
    }
  }

  /** Return the first message, or the first part of a record batch that is larger than the gateway takes: a batch has one frame. */
  #fitting(first: OutboundMessage, session: Session): OutboundMessage {
    const parts = first.parts(Math.min(session.welcome.limits.max_message_bytes, session.chunkBytes));
    if (parts.length > 1) {
      this.waiting.divideFirst(parts);
    }
    return parts[0];
  }

  #begin(session: Session, message: OutboundMessage): boolean {
    this.sender.checkSize(message, session);
    const isWhole = message.fitsOneFrame(session.chunkBytes, session.frameBytes);
    if (!isWhole && !this.sender.takeRoom(message)) {
      return false;
    }
    const placed = this.place(session, message);
    if (!placed) {
      this.sender.leaveRoom(message, false);
      return false;
    }
    if (message.postponed) {
      this.#probe = message;
    }
    if (isWhole) {
      this.#sendWhole(session, message, placed);
    } else {
      this.#sendHead(session, message, placed);
    }
    return true;
  }

  #sendWhole(session: Session, message: OutboundMessage, placed: Placed): void {
    const { content, count } = message.fields;
    const way = content.payload.byteLength >= MIN_ENCODED_BYTES ? this.#wayOf(session, message) : undefined;
    const encoded = way === undefined ? undefined : encode(content.payload, way);
    const payload = encoded?.data ?? content.payload;
    const body = { count, encoding: encoded?.encoding, payload: [payload] };
    message.frameBytes = this.#sendFrame(session, message, placed, false, body);
    message.sentBytes = payload.byteLength;
    this.#finished(message);
  }

  #sendHead(session: Session, message: OutboundMessage, placed: Placed): void {
    // The gateway may have a part of the message, or may refuse it once more: then no chunk is sent in vain.
    const asking = message.begun || message.lostMs !== undefined || message.postponed !== undefined;
    message.chunkBytes ||= session.chunkBytes;
    const transfer = this.sender.nextTransfer(this);
    const plan = { transfer, chunk_bytes: message.chunkBytes, payload_bytes: message.payloadBytes };
    message.frameBytes += this.#sendFrame(session, message, placed, asking || this.confirms, { plan });
    message.begun = true;
    if (this.confirms) {
      this.#unconfirmed.set(transfer, message);
    }
    const way = this.#wayOf(session, message);
    this.#large = { message, session, transfer, index: 0, checksum: 0, asking, way };
  }

  #wayOf(session: Session, { fields: { codec, content } }: OutboundMessage): Way {
    if (codec === "auto") {
      return takesLz4(session.welcome) ? this.#choice.of(content) : undefined;
    }
    return codec === "lz4" ? content.itemBytes : undefined;
  }

  /** Send the data frame of a message, behind what has to go before it; returns the bytes of the frame. */
  #sendFrame(
    session: Session,
    message: OutboundMessage,
    { stream, offset, before }: Placed,
    resuming: boolean,
    body: Pick<DataFields, "count" | "encoding" | "payload" | "plan">,
  ): number {
    const { opcode, content, flags } = message.fields;
    const timestamp_ns = message.timestampNs(session.clock);
    const extensions = message.extensions(session.clock, resuming);
    const frame = writeData({ opcode, stream, offset, timestamp_ns, flags, meta: content.meta, extensions, ...body });
    session.send([...before, ...frame]);
    return bytesOf(frame);
  }

  #stepLarge(large: Large): boolean {
    const { message, session, transfer, index, way } = large;
    if (large.asking) {
      return false;
    }
    if (index < message.chunks) {
      const { content } = message.fields;
      const chunk = content.payload.subarray(...message.chunk(index));
      const encoded = way === undefined ? undefined : encode(chunk, way);
      const data = encoded?.data ?? chunk;
      const frame = writeChunk(transfer, index, [data], encoded?.encoding);
      session.send(frame);
      message.frameBytes += bytesOf(frame);
      message.sentBytes += data.byteLength;
      large.checksum = checksumOf([chunk], large.checksum);
      large.index++;
      message.fields.sending?.progressed(message.chunk(index)[1]);
      return true;
    }
    const end = writeSignal({
      opcode: Opcode.END,
      transfer,
      offset: message.fields.opcode === Opcode.MESSAGE ? 0n : (message.sequence ?? 0n),
      timestamp_ns: session.clock.nowNs(),
      checksum: large.checksum,
    });
    session.send([end]);
    message.frameBytes += end.byteLength;
    this.#leaveLarge();
    this.#finished(message);
    return true;
  }

  #finished(message: OutboundMessage): void {
    message.ended = true;
    this.waiting.remove(message);
    message.fields.sending?.progressed(message.payloadBytes);
    this.written(message);
  }

  /** Handle RESUME: the gateway lacks the chunks of a large message from this one on. */
  resumed(transfer: number, index: number): void {
    const large = this.#large;
    const unconfirmed = this.#unconfirmed.get(transfer);
    if (unconfirmed) {
      this.#unconfirmed.delete(transfer);
      unconfirmed.fields.sending?.taken(undefined);
    }
    if (large?.transfer !== transfer) {
      this.sender.endTransfer(transfer);
    }
    if (large?.transfer !== transfer || !large.asking) {
      return;
    }
    large.asking = false;
    large.index = Math.min(index, large.message.chunks);
    const sent = large.message.fields.content.payload.subarray(0, large.index * large.message.chunkBytes);
    large.checksum = checksumOf([sent]);
    if (!large.index) {
      large.message.sentBytes = 0;
    }
    this.taken(large.message);
    this.sender.wake(this);
  }

  /** Take a message out that was answered, or given up; a large one that is being sent is ended by ABORT. */
  drop(message: OutboundMessage, code: number = Code.TRANSFER_ABORTED): void {
    if (this.#large?.message === message) {
      this.#abort(code);
    }
    this.#forgetUnconfirmed(message);
    this.waiting.remove(message);
    this.taken(message);
    this.sender.wake(this);
  }

  /** Large message that is being sent, if nobody awaits its answer. */
  protected get unawaitedLarge(): OutboundMessage | undefined {
    const message = this.#large?.message;
    return message?.fields.sending ? undefined : message;
  }

  /** Take note that a message is answered which had been refused. */
  protected taken(message: OutboundMessage): void {
    if (this.#probe === message) {
      this.#probe = undefined;
      if (message.ended || this.#large?.message === message) {
        this.#pauses.taken();
      }
      this.sender.wake(this);
    }
  }

  /** Forget a large message whose sending has ended otherwise: the gateway has all of it, or has refused it. */
  protected forgetLarge(message: OutboundMessage): void {
    if (this.#large?.message === message) {
      this.#leaveLarge();
    }
  }

  #leaveLarge(): void {
    if (this.#large) {
      if (!this.#unconfirmed.has(this.#large.transfer)) {
        this.sender.endTransfer(this.#large.transfer);
      }
      this.sender.leaveRoom(this.#large.message);
      this.#large = undefined;
    }
  }

  /** Large messages that the gateway has not said yet to take. */
  protected get unconfirmed(): Iterable<OutboundMessage> {
    return this.#unconfirmed.values();
  }

  protected get isUnconfirmed(): boolean {
    return this.#unconfirmed.size > 0;
  }

  #forgetUnconfirmed(message: OutboundMessage): void {
    for (const [transfer, unconfirmed] of this.#unconfirmed) {
      if (unconfirmed === message) {
        this.#unconfirmed.delete(transfer);
      }
    }
  }

  #abort(code: number): void {
    if (this.#large) {
      const { session, transfer } = this.#large;
      session.signal({ opcode: Opcode.ABORT, transfer, code });
      this.#leaveLarge();
    }
  }

  /** Send a message again after a pause, before all that were called later: the gateway has no room for it. */
  protected postpone(message: OutboundMessage, refusal: RequestRefused): void {
    this.#forgetUnconfirmed(message);
    this.forgetLarge(message);
    const { first } = this.waiting;
    if (this.#large && first && first.turn > message.turn) {
      // A large message behind it makes way.
      this.#abort(Code.TRANSFER_ABORTED);
      this.unplaced(first);
      first.begun = false;
    }
    message.postponed = refusal;
    message.begun = false;
    message.restart();
    this.unplaced(message);
    this.#probe = this.#probe === message ? undefined : this.#probe;
    this.waiting.putBack([message]);
    this.#pause?.cancel();
    this.#pause = this.sender.clock.after(this.#pauses.refused(refusal.action), () => {
      this.#pause = undefined;
      this.sender.wake(this);
    });
  }

  /** Return whether a message that is refused for now is to be sent again: its time has not passed since the first refusal. */
  protected maySendAgain(message: OutboundMessage): boolean {
    const nowMs = this.sender.clock.nowMs();
    message.refusedMs ??= nowMs;
    return nowMs - message.refusedMs < (message.fields.sending?.timeoutMs ?? Number.POSITIVE_INFINITY);
  }

  /** Take note that a message will not be sent as it was begun, so that nothing answers it. */
  protected unplaced(message: OutboundMessage): void {
    message.sequence = undefined;
  }

  /** End a connection; messages whose outcome is not known go first on the next one. */
  detached(unanswered: readonly OutboundMessage[]): void {
    this.#leaveLarge();
    this.#probe = undefined;
    const waiting = new Set(this.waiting);
    const again = unanswered.filter((message) => !message.abandoned && !waiting.has(message));
    for (const message of again) {
      message.lostMs ??= this.sender.clock.nowMs();
      message.restart();
    }
    this.waiting.putBack(again);
  }

  /** Fail everything that waits: the client is closed. */
  fail(error: Error): void {
    this.#pause?.cancel();
    const messages = new Set([...this.waiting.takeAll(), ...this.#unconfirmed.values()]);
    this.#unconfirmed.clear();
    this.#leaveLarge();
    for (const message of messages) {
      message.fields.sending?.failed(error);
    }
  }
}
