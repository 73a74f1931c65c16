/** Publisher: publishes of a client, acknowledged or not, over all connections (`spec/client.md`, section 4). */

import { Code, ConnectionFailed, InvalidArgument, RequestRefused, RequestTimeout } from "../errors.ts";
import { checkOptions, MESSAGE_OPTIONS, namesIn, optionFault, PUBLISH_OPTIONS } from "../option_fault.ts";
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
import { type Content, contentOf } from "./content.ts";
import { OutboundMessage, type Sending } from "./outbound_message.ts";
import type { Draft } from "./outbox.ts";
import { type MessageOptions, nsOf, type PublishOptions } from "./publish_options.ts";
import { PublishQuality, type TransmissionResult } from "./result.ts";
import type { Sender } from "./sender.ts";
import { StreamSendQueue } from "./stream_send_queue.ts";

/** Streams of which declarations and sequences are remembered. */
const MAX_STREAMS = 8192;

export interface PublisherSettings {
  /** Number that the client has drawn (spec section 4.6). */
  readonly producer: number;
  readonly timeoutMs: number;
}

/** Options of publishNowait by name alone: it may be called 100,000 times a second, and values are checked as they are used. */
const MESSAGE_OPTION_NAMES = new Set(namesIn(MESSAGE_OPTIONS));

export class Publisher {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #sender: Sender;
  readonly #aliases: Aliases;
  readonly #producer: number;
  readonly #timeoutMs: number;
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
    { producer, timeoutMs }: PublisherSettings,
  ) {
    this.#connection = connection;
    this.#clock = clock;
    this.#sender = sender;
    this.#aliases = aliases;
    this.#producer = producer;
    this.#timeoutMs = timeoutMs;
    this.#batcher = new Batcher((ready) => this.#submitReady(ready));
  }

  /** Publish one message, and return its acknowledgement; errors as `Client.publish`. */
  publish(draft: Draft, options: PublishOptions): Promise<TransmissionResult> {
    checkOptions("publish", options, PUBLISH_OPTIONS);
    const { stream, declaration, codec, calledNs, calledMs } = draft;
    const queue = this.#queueOf(stream);
    const { content, extensions } = this.#contentOf(queue, draft, options);
    queue.check(declaration);
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
            resolve(this.#result(stream, message, ack, (this.#clock.nowMs() - calledMs) / 1000));
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
        calledNs,
        expiresInNs: nsOf("expiresInMs", options.expiresInMs),
        extensions,
        codec,
        declaration,
        sending,
      });
      options.signal?.addEventListener("abort", aborted, { once: true });
      queue.submit(message);
    });
  }

  /** Publish one message that is not acknowledged; never waits. */
  publishNowait({ stream, declaration, codec, content, calledNs }: Draft, options: MessageOptions): void {
    for (const name in options) {
      if (!MESSAGE_OPTION_NAMES.has(name)) {
        throw optionFault("publishNowait", options, MESSAGE_OPTIONS);
      }
    }
    this.#queueOf(stream).check(declaration);
    this.#batcher.add({ stream, kind: declaration.kind, codec, content, calledNs });
  }

  /** Memory of what is collected for record batches. */
  get collectedBytes(): number {
    return this.#batcher.heldBytes;
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
    { content: given, declaration }: Draft,
    { region, tensor }: PublishOptions,
  ): { content: Content; extensions?: { region: ReturnType<typeof extentsOf> } } {
    if (!region) {
      if (tensor !== undefined) {
        throw new InvalidArgument("tensor names the tensor of a region: give region as well");
      }
      return { content: given };
    }
    const name = tensor ?? "";
    const extents = extentsOf(region, queue.shapeOf(name, declaration));
    const shape = shapeOf(extents);
    const [spec] = given.specs;
    if (given.specs.length !== 1 || elementsOf(spec.shape) !== elementsOf(shape) || !isSameBut1(spec.shape, shape)) {
      const found = given.specs.map((each) => `[${each.shape.join(", ")}]`).join(" and ") || "no tensor";
      throw new InvalidArgument(`a patch of shape ${found} does not fit a region of shape [${shape.join(", ")}]`);
    }
    const patch = new Tensor({ ...spec, name, shape }, given.payload);
    return { content: contentOf(patch, given.headers), extensions: { region: extents } };
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

  #timedOut(queue: StreamSendQueue, message: OutboundMessage): RequestTimeout {
    if (isSent(message)) {
      return new RequestTimeout(`a publish to ${queue.name} was sent, and is not acknowledged in time`);
    }
    return new RequestTimeout(`a publish to ${queue.name} was not sent in time: ${this.#connection.whyUnsent}`);
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
