/** Publisher: publishes of a client, acknowledged or not, over all connections (`spec/client.md`, section 4). */

import { CapacityError, Code, ConnectionFailed, InvalidArgument, RequestRefused, RequestTimeout } from "../errors.ts";
import type { Refusal, StreamInfo } from "../protocol/messages.ts";
import { elementsOf } from "../protocol/meta.ts";
import { checkPublishedName } from "../protocol/names.ts";
import { extentsOf, shapeOf } from "../protocol/regions.ts";
import type { Ack } from "../protocol/signals.ts";
import { Tensor } from "../protocol/tensors.ts";
import { Flag, Opcode } from "../protocol/wire.ts";
import type { Clock } from "../session/clock.ts";
import type { Connection } from "../session/connection.ts";
import type { Session } from "../session/session.ts";
import { TimeLimit } from "../session/time_limit.ts";
import type { Aliases } from "./aliases.ts";
import { Batcher, type Ready } from "./batcher.ts";
import { type Content, contentOf, type Value } from "./content.ts";
import type { Declaration } from "./declaration.ts";
import { type CodecName, OutboundMessage, type Sending } from "./outbound_message.ts";
import { declarationOf, type MessageOptions, nsOf, type PublishOptions } from "./publish_options.ts";
import { PublishQuality, type TransmissionResult } from "./result.ts";
import type { Sender } from "./sender.ts";
import { StreamSendQueue } from "./stream_send_queue.ts";

/** Streams of which declarations and sequences are remembered. */
const MAX_STREAMS = 8192;

export class Publisher {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #sender: Sender;
  readonly #aliases: Aliases;
  readonly #producer: number;
  readonly #timeoutMs: number;
  readonly #maxPendingBytes: number;
  readonly #queues = new Map<string, StreamSendQueue>();
  readonly #batcher: Batcher;
  readonly quality = new PublishQuality();
  /** Sequence above all that were used for forgotten streams. */
  #firstSequence = 1n;

  constructor(
    connection: Connection,
    clock: Clock,
    sender: Sender,
    aliases: Aliases,
    options: { readonly producer: number; readonly timeoutMs: number; readonly maxPendingBytes: number },
  ) {
    this.#connection = connection;
    this.#clock = clock;
    this.#sender = sender;
    this.#aliases = aliases;
    this.#producer = options.producer;
    this.#timeoutMs = options.timeoutMs;
    this.#maxPendingBytes = options.maxPendingBytes;
    this.#batcher = new Batcher((ready) => this.#submitReady(ready));
  }

  /** Publish one message, and return its acknowledgement; errors as `Client.publish`. */
  publish(stream: string, value: Value, options: PublishOptions): Promise<TransmissionResult> {
    const started = this.#clock.nowMs();
    const declaration = declarationOf(options);
    const queue = this.#queueOf(stream);
    const { content, extensions } = this.#contentOf(queue, value, options, declaration);
    queue.check(declaration);
    this.#checkSize(content);
    options.signal?.throwIfAborted();
    this.#batcher.flush(stream);
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
    return new Promise((resolve, reject) => {
      const limit = new TimeLimit(this.#clock, timeoutMs, () => {
        giveUp(message.postponed && !isSent(message) ? message.postponed : this.#timedOut(queue, message));
      });
      const settle = (): void => {
        limit.stop();
        options.signal?.removeEventListener("abort", aborted);
      };
      const giveUp = (error: unknown): void => {
        settle();
        message.abandoned = true;
        queue.drop(message);
        reject(error);
      };
      const aborted = (): void => giveUp(options.signal?.reason);
      const sending: Sending = {
        timeoutMs,
        taken: (ack) => {
          settle();
          if (ack) {
            resolve(this.#result(stream, message, ack, (this.#clock.nowMs() - started) / 1000));
          }
        },
        failed: (error) => {
          settle();
          reject(error);
        },
        progressed: (bytes) => {
          limit.progressed();
          try {
            options.progress?.(bytes, content.payload.byteLength);
          } catch (error) {
            giveUp(error);
          }
        },
      };
      const message = new OutboundMessage({
        opcode: Opcode.MESSAGE,
        content,
        flags: Flag.ACK,
        calledNs: this.#clock.localNs(),
        expiresInNs: nsOf("expiresInMs", options.expiresInMs),
        extensions,
        codec: this.#codecOf(options),
        declaration,
        sending,
      });
      options.signal?.addEventListener("abort", aborted, { once: true });
      queue.submit(message);
    });
  }

  /**
   * Publish one message that is not acknowledged; never waits.
   *
   * @throws CapacityError too many bytes wait.
   */
  publishNowait(stream: string, value: Value, options: MessageOptions): void {
    if (this.#connection.error) {
      throw this.#connection.error;
    }
    const declaration = declarationOf({ kind: options.kind });
    const queue = this.#queueOf(stream);
    queue.check(declaration);
    const content = contentOf(value, options.headers ?? null, options);
    this.#checkSize(content);
    const waiting = this.#batcher.bytes + this.#sender.unsentBytes;
    if (waiting && waiting + content.payload.byteLength > this.#maxPendingBytes) {
      throw new CapacityError(
        `${waiting} bytes wait to be sent, maxPendingBytes is ${this.#maxPendingBytes}: await drain(), or publish less`,
      );
    }
    const { kind } = declaration;
    const calledNs = this.#clock.localNs();
    this.#batcher.add({ stream, kind, codec: this.#codecOf(options), content, calledNs });
  }

  /** Hand everything that is collected to the queues. */
  flush(): void {
    this.#batcher.flushAll();
  }

  #submitReady({ stream, kind, codec, content, count, calledNs }: Ready): void {
    this.#queueOf(stream).submit(
      new OutboundMessage({
        opcode: count === undefined ? Opcode.MESSAGE : Opcode.BATCH,
        content,
        flags: 0,
        count,
        calledNs,
        codec,
        declaration: { kind },
      }),
    );
  }

  #contentOf(
    queue: StreamSendQueue,
    value: Value,
    options: PublishOptions,
    declaration: Declaration,
  ): { content: Content; extensions?: { region: ReturnType<typeof extentsOf> } } {
    const { region, tensor = "" } = options;
    if (!region) {
      if (options.tensor !== undefined) {
        throw new InvalidArgument("tensor names the tensor of a region: give region as well");
      }
      return { content: contentOf(value, options.headers ?? null, options) };
    }
    const extents = extentsOf(region, queue.shapeOf(tensor, declaration));
    const shape = shapeOf(extents);
    const found = contentOf(value, null, options);
    const [spec] = found.specs;
    if (found.specs.length !== 1 || elementsOf(spec.shape) !== elementsOf(shape) || !isSameBut1(spec.shape, shape)) {
      const given = found.specs.map((each) => `[${each.shape.join(", ")}]`).join(" and ") || "no tensor";
      throw new InvalidArgument(`a patch of shape ${given} does not fit a region of shape [${shape.join(", ")}]`);
    }
    const patch = { ...spec, name: tensor, shape };
    const content = contentOf(new Tensor(patch, found.payload), options.headers ?? null);
    return { content, extensions: { region: extents } };
  }

  #queueOf(stream: string): StreamSendQueue {
    let queue = this.#queues.get(stream);
    if (queue) {
      this.#queues.delete(stream);
    } else {
      checkPublishedName(stream);
      queue = new StreamSendQueue(this.#sender, this.#aliases, stream, this.#producer, this.#firstSequence);
      this.#forgetOld();
    }
    this.#queues.set(stream, queue); // the most recently used at the end
    return queue;
  }

  #forgetOld(): void {
    for (const [name, queue] of this.#queues) {
      if (this.#queues.size < MAX_STREAMS) {
        return;
      }
      if (queue.forgettable) {
        this.#queues.delete(name);
        if (queue.nextSequence > this.#firstSequence) {
          this.#firstSequence = queue.nextSequence;
        }
      }
    }
  }

  #codecOf({ codec = "none" }: MessageOptions): CodecName {
    if (codec !== "none" && codec !== "lz4") {
      throw new InvalidArgument(`codec '${String(codec)}' cannot be encoded in JavaScript: use none or lz4`);
    }
    const agreed = this.#connection.session?.welcome;
    if (codec === "lz4" && agreed && !(agreed.codecs.includes("lz4") && agreed.filters.includes("shuffle"))) {
      throw new RequestRefused(Code.UNKNOWN_CODEC, "the gateway has not agreed on lz4 and shuffle");
    }
    return codec;
  }

  #checkSize({ payload }: Content): void {
    const most = this.#connection.session?.welcome.limits.max_message_bytes;
    if (most !== undefined && payload.byteLength > most) {
      const problem = `payload of ${payload.byteLength} bytes exceeds max_message_bytes=${most} of the gateway`;
      throw new RequestRefused(Code.MESSAGE_TOO_BIG, `${problem}: split the tensor`);
    }
  }

  #timedOut(queue: StreamSendQueue, message: OutboundMessage): RequestTimeout {
    if (isSent(message)) {
      return new RequestTimeout(`a publish to ${queue.name} was sent, and is not acknowledged in time`);
    }
    const { session, outage } = this.#connection;
    const seconds = ((this.#clock.nowMs() - outage.sinceMs) / 1000).toFixed(1);
    const why = session ? "there was no room" : `no connection for ${seconds} s (${outage.reason})`;
    return new RequestTimeout(`a publish to ${queue.name} was not sent in time: ${why}`);
  }

  #result(stream: string, message: OutboundMessage, ack: Ack, latencyS: number): TransmissionResult {
    const { frameBytes, sentBytes, payloadBytes } = message;
    const epoch = this.#epochOf(ack.alias);
    const rttS = this.#connection.session?.clock.rttS;
    return {
      stream,
      epoch,
      offset: ack.offset,
      durability: ack.durability,
      repeated: ack.repeated,
      latencyS,
      bytesTransmitted: frameBytes,
      compressionRatio: sentBytes ? payloadBytes / sentBytes : 1,
      qualityScore: this.quality.score(frameBytes, latencyS, rttS),
    };
  }

  #epochOf(alias: number): number {
    return this.#aliases.get(alias)?.info?.epoch ?? 0;
  }

  // Frames of the gateway.

  /** Handle STREAM that answers an OPEN; returns whether it does. */
  streamReceived(info: StreamInfo): boolean {
    const alias = info.alias === undefined ? undefined : this.#aliases.get(info.alias);
    if (alias) {
      alias.info = info;
      alias.answered = true;
      alias.owner.opened(alias);
    }
    return info.alias !== undefined;
  }

  /** Handle ACK. */
  acknowledged(ack: Ack): void {
    const alias = this.#aliases.get(ack.alias);
    if (alias?.owner instanceof StreamSendQueue) {
      alias.owner.acknowledged(alias, ack);
    }
    this.#sender.pump();
  }

  /** Handle an ERROR for an alias or messages to it; returns whether it is one. */
  refused({ alias: number, sequence, count = 1, code, message, stream }: Refusal): boolean {
    const alias = number === undefined ? undefined : this.#aliases.get(number);
    if (!alias) {
      return number !== undefined;
    }
    const error = new RequestRefused(code, message);
    if (sequence !== undefined && alias.owner instanceof StreamSendQueue) {
      alias.owner.refusedMessages(alias, sequence, count, error);
    } else if (code === Code.STREAM_ENDED && stream !== undefined) {
      if (alias.owner instanceof StreamSendQueue && alias.owner.name === stream) {
        alias.owner.ended(alias);
      }
    } else {
      alias.answered = true;
      alias.owner.refused(alias);
    }
    return true;
  }

  // Connections.

  attached(session: Session): void {
    this.#aliases.begin(session);
    this.quality.reset();
    for (const queue of this.#queues.values()) {
      if (!queue.idle) {
        this.#sender.wake(queue);
      }
    }
  }

  detached(): void {
    for (const queue of this.#queues.values()) {
      queue.lost();
    }
  }

  close(error: Error): void {
    const cut = error instanceof ConnectionFailed ? error : new ConnectionFailed(error.message);
    for (const queue of this.#queues.values()) {
      queue.fail(cut);
    }
    this.#queues.clear();
  }
}

function isSent(message: OutboundMessage): boolean {
  return message.ended || message.lostMs !== undefined;
}

function isSameBut1(one: readonly number[], other: readonly number[]): boolean {
  const [a, b] = [one.filter((size) => size !== 1), other.filter((size) => size !== 1)];
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}
