/**
 * Outbox: calls that publish, each checked and copied at the call (`spec/client.md`, section 4).
 *
 * The code that sends is loaded by the first of them. Until it is there, calls are kept in their order.
 */

import { CapacityError, Code, InvalidArgument, RequestRefused, RequestTimeout } from "../errors.ts";
import type { LazyPart } from "../lazy_part.ts";
import { checkPublishedName } from "../protocol/names.ts";
import type { Reports } from "../report.ts";
import type { Clock } from "../session/clock.ts";
import type { Connection } from "../session/connection.ts";
import { limited } from "../session/time_limit.ts";
import { type Content, contentOf, heldBytesOf, type Value } from "./content.ts";
import type { Declaration } from "./declaration.ts";
import type { CodecName } from "./outbound_message.ts";
import { declarationOf, type MessageOptions, type PublishOptions, takesLz4 } from "./publish_options.ts";
import type { Publisher } from "./publisher.ts";
import type { TransmissionResult } from "./result.ts";
import type { SendingPart } from "./sending_part.ts";

const CODECS: readonly CodecName[] = ["none", "lz4", "auto"];

/** Call that publishes, checked; its content is a copy. */
export interface Draft {
  readonly stream: string;
  readonly declaration: Declaration;
  readonly codec: CodecName;
  readonly content: Content;
  /** Time of the call, by `Clock.localNs` and by `Clock.nowMs`. */
  readonly calledNs: bigint;
  readonly calledMs: number;
}

/** Call that waits for the code that sends. */
interface Kept {
  readonly draft: Draft;
  send(publisher: Publisher): void;
  failed(error: unknown): void;
}

export class Outbox {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #reports: Reports;
  readonly #sending: LazyPart<SendingPart>;
  readonly #timeoutMs: number;
  readonly #maxPendingBytes: number;
  readonly #kept = new Set<Kept>();
  #keptBytes = 0;

  constructor(
    connection: Connection,
    clock: Clock,
    reports: Reports,
    sending: LazyPart<SendingPart>,
    options: { readonly timeoutMs: number; readonly maxPendingBytes: number },
  ) {
    this.#connection = connection;
    this.#clock = clock;
    this.#reports = reports;
    this.#sending = sending;
    this.#timeoutMs = options.timeoutMs;
    this.#maxPendingBytes = options.maxPendingBytes;
  }

  /** Publish one message, and return its acknowledgement; errors as `Client.publish`. */
  async publish(stream: string, value: Value, options: PublishOptions): Promise<TransmissionResult> {
    const draft = this.#draft(stream, value, options);
    options.signal?.throwIfAborted();
    const { loaded } = this.#sending;
    if (loaded) {
      return loaded.publisher.publish(draft, options);
    }
    let kept: Kept | undefined;
    // In an object: the acknowledgement has a time limit of its own.
    const begin = (): Promise<{ readonly result: Promise<TransmissionResult> }> =>
      new Promise((resolve, failed) => {
        kept = { draft, send: (publisher) => resolve({ result: publisher.publish(draft, options) }), failed };
        this.#keep(kept);
      });
    try {
      const { signal, timeoutMs = this.#timeoutMs } = options;
      return (await limited(begin, this.#clock, { timeoutMs, signal }, () => this.#late(stream))).result;
    } finally {
      this.#release(kept);
    }
  }

  /** Publish one message that is not acknowledged; errors as `Client.publishNowait`. */
  publishNowait(stream: string, value: Value, options: MessageOptions): void {
    if (this.#connection.error) {
      throw this.#connection.error;
    }
    const draft = this.#draft(stream, value, options);
    const waiting = this.#keptBytes + (this.#sending.loaded?.waitingBytes ?? 0);
    if (waiting && waiting + heldBytesOf(draft.content) > this.#maxPendingBytes) {
      throw new CapacityError(
        `${waiting} bytes wait to be sent, maxPendingBytes is ${this.#maxPendingBytes}: await drain(), or publish less`,
      );
    }
    if (this.#sending.loaded) {
      this.#sending.loaded.publisher.publishNowait(draft, options);
    } else {
      const failed = (error: unknown): void => {
        if (!this.#connection.error) {
          this.#reports.report(error); // otherwise `close` counts it
        }
      };
      this.#keep({ draft, send: (publisher) => publisher.publishNowait(draft, options), failed });
    }
  }

  /** Messages that wait for the code that sends, or to be sent. */
  get unsent(): number {
    return this.#kept.size + (this.#sending.loaded?.sender.unsent ?? 0);
  }

  /** Resolve once nothing waits to be sent. */
  async drained(): Promise<void> {
    if (this.#kept.size) {
      await this.#sending.load().catch(() => undefined);
    }
    const { loaded } = this.#sending;
    loaded?.publisher.flush();
    await loaded?.sender.drained();
  }

  #draft(stream: string, value: Value, options: PublishOptions): Draft {
    const [calledNs, calledMs] = [this.#clock.localNs(), this.#clock.nowMs()];
    const declaration = declarationOf(options);
    if (!this.#sending.loaded) {
      checkPublishedName(stream); // later the publisher does, once for each stream
    }
    const content = contentOf(value, options.headers ?? null, options);
    const codec = this.#codecOf(options);
    this.#checkSize(content);
    return { stream, declaration, codec, content, calledNs, calledMs };
  }

  #codecOf({ codec = "none" }: MessageOptions): CodecName {
    if (!CODECS.includes(codec)) {
      throw new InvalidArgument(
        `codec '${String(codec)}' cannot be encoded in JavaScript: use one of ${CODECS.join(", ")}`,
      );
    }
    const agreed = this.#connection.session?.welcome;
    if (codec === "lz4" && agreed && !takesLz4(agreed)) {
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

  #keep(kept: Kept): void {
    this.#kept.add(kept);
    this.#keptBytes += heldBytesOf(kept.draft.content);
    if (this.#kept.size === 1) {
      this.#sending.load().then(
        ({ publisher }) => this.#handOver((each) => each.send(publisher)),
        (error: unknown) => this.#handOver((each) => each.failed(error)),
      );
    }
  }

  #handOver(hand: (kept: Kept) => void): void {
    for (const kept of this.#kept) {
      this.#release(kept);
      try {
        hand(kept);
      } catch (error) {
        kept.failed(error);
      }
    }
  }

  #release(kept: Kept | undefined): void {
    if (kept && this.#kept.delete(kept)) {
      this.#keptBytes -= heldBytesOf(kept.draft.content);
    }
  }

  #late(stream: string): RequestTimeout {
    return new RequestTimeout(`a publish to ${stream} was not sent in time: ${this.#connection.whyUnsent}`);
  }
}
