/** Requests of a client, kept over connections (`spec/client.md`, section 6). */

import { Code, ConnectionFailed, RequestFailed, RequestRefused, RequestTimeout } from "../errors.ts";
import { checkOptions, REQUEST_OPTIONS } from "../option_fault.ts";
import { checkAddress } from "../protocol/addresses.ts";
import type { JsonObject } from "../protocol/exact_json.ts";
import type { Refusal } from "../protocol/messages.ts";
import { Flag, Opcode } from "../protocol/wire.ts";
import type { Aliases } from "../sending/aliases.ts";
import type { ArrayOptions, Content } from "../sending/content.ts";
import { type CodecName, OutboundMessage } from "../sending/outbound_message.ts";
import { nsOf } from "../sending/publish_options.ts";
import type { Sender } from "../sending/sender.ts";
import type { Clock, Timer } from "../session/clock.ts";
import type { Connection } from "../session/connection.ts";
import { TimeLimit } from "../session/time_limit.ts";
import type { Arrival, Failure } from "../session/wire.ts";
import { AddressQueue } from "./address_queue.ts";
import { Reply } from "./contents.ts";

/** Codes of refusals that say that a request was not delivered, and may be sent again. */
const UNDELIVERED: ReadonlySet<number> = new Set([Code.QUEUE_FULL, Code.TRANSFER_TIMEOUT, Code.DRAINING]);
/** Codes by which a large reply is cut off although its request goes on. */
const CUT_OFF: ReadonlySet<number> = new Set([
  Code.TRANSFER_ABORTED,
  Code.TRANSFER_TIMEOUT,
  Code.PEER_GONE,
  Code.CANCELLED,
  Code.EXPIRED,
]);

/** Addresses whose queues are kept, as far as nothing is under way to them. */
const MAX_ADDRESSES = 8192;

/** Options of a request. */
export interface RequestOptions extends ArrayOptions {
  readonly headers?: JsonObject | null | undefined;
  readonly codec?: CodecName | undefined;
  /** Time without progress after which the request fails; every part of the reply restarts it. */
  readonly timeoutMs?: number | undefined;
  /** Time after which the request is not worth an answer any more. */
  readonly expiresInMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Call of a request; its content is a copy. */
export interface Asked {
  readonly address: string;
  readonly content: Content;
  /** Time of the call by this machine's clock. */
  readonly calledNs: bigint;
}

/** Callbacks of a request to its caller. */
interface Asker {
  /** Take a reply; `last` if none follows. */
  replied(reply: Reply, last: boolean): void;
  failed(error: unknown): void;
}

interface Pending {
  readonly queue: AddressQueue;
  readonly message: OutboundMessage;
  readonly asker: Asker;
  readonly limit: TimeLimit;
  readonly expiry: Timer | undefined;
  settle(): void;
}

export class Requester {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #sender: Sender;
  readonly #aliases: Aliases;
  readonly #timeoutMs: number;
  readonly #queues = new Map<string, AddressQueue>();
  readonly #pending = new Map<OutboundMessage, Pending>();
  readonly #sent = new Map<bigint, Pending>();
  #correlation = 0n;

  constructor(connection: Connection, clock: Clock, sender: Sender, aliases: Aliases, timeoutMs: number) {
    this.#connection = connection;
    this.#clock = clock;
    this.#sender = sender;
    this.#aliases = aliases;
    this.#timeoutMs = timeoutMs;
  }

  /** Send a request, and return its last reply; errors as `Client.request`. */
  request(asked: Asked, options: RequestOptions): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#send(asked, options, {
        replied: (reply, last) => last && resolve(reply),
        failed: reject,
      });
    });
  }

  /** Send a request, and yield every reply as it arrives; errors as `Client.requestStream`. */
  async *stream(asked: Asked, options: RequestOptions): AsyncGenerator<Reply, void, undefined> {
    const parts: Reply[] = [];
    let over = false;
    let error: unknown;
    let wake = (): void => undefined;
    const cancel = this.#send(asked, options, {
      replied: (reply, last) => {
        parts.push(reply);
        over = last;
        wake();
      },
      failed: (reason) => {
        over = true;
        error = reason;
        wake();
      },
    });
    try {
      for (;;) {
        const part = parts.shift();
        if (part) {
          yield part;
        } else if (over) {
          break;
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      cancel();
    }
    if (error !== undefined) {
      throw error;
    }
  }

  /** Send a request; returns a function that cancels it. */
  #send({ address, content, calledNs }: Asked, options: RequestOptions, asker: Asker): () => void {
    checkOptions("a request", options, REQUEST_OPTIONS);
    const { signal, timeoutMs = this.#timeoutMs } = options;
    signal?.throwIfAborted();
    const queue = this.#queueOf(address);
    const expiresInNs = nsOf("expiresInMs", options.expiresInMs);
    const message = new OutboundMessage({
      opcode: Opcode.REQUEST,
      content,
      flags: 0,
      calledNs,
      expiresInNs,
      codec: options.codec ?? "none",
      declaration: {},
      sending: {
        timeoutMs,
        taken: () => undefined,
        failed: (error) => this.#fail(message, error),
        progressed: () => this.#pending.get(message)?.limit.progressed(),
      },
    });
    const aborted = (): void => this.#cancel(message, signal?.reason);
    const limit = new TimeLimit(this.#clock, timeoutMs, () => {
      const late = new RequestTimeout(`a request to ${address} was not answered within ${timeoutMs / 1000} s`);
      this.#cancel(message, message.postponed && !message.ended ? message.postponed : late);
    });
    const expiry =
      options.expiresInMs === undefined
        ? undefined
        : this.#clock.after(options.expiresInMs, () => this.#expire(message, address));
    const settle = (): void => {
      limit.stop();
      expiry?.cancel();
      signal?.removeEventListener("abort", aborted);
    };
    signal?.addEventListener("abort", aborted, { once: true });
    this.#pending.set(message, { queue, message, asker, limit, expiry, settle });
    queue.submit(message);
    return () => this.#cancel(message, undefined);
  }

  #queueOf(address: string): AddressQueue {
    let queue = this.#queues.get(address);
    if (queue) {
      this.#queues.delete(address);
    } else {
      this.#forgetOld();
      queue = new AddressQueue(this.#sender, this.#aliases, checkAddress(address), {
        correlate: (message) => this.#correlate(message),
      });
    }
    this.#queues.set(address, queue); // the most recently used at the end
    return queue;
  }

  #forgetOld(): void {
    if (this.#queues.size < MAX_ADDRESSES) {
      return;
    }
    const busy = new Set([...this.#pending.values()].map(({ queue }) => queue));
    for (const [address, queue] of this.#queues) {
      if (queue.forgettable && !busy.has(queue)) {
        this.#queues.delete(address);
        return;
      }
    }
  }

  #correlate(message: OutboundMessage): bigint {
    this.#correlation += 1n;
    const pending = this.#pending.get(message);
    if (pending) {
      this.#sent.set(this.#correlation, pending);
    }
    return this.#correlation;
  }

  /** Fail a request that could not be sent before its deadline; the gateway tells of one that it has. */
  #expire(message: OutboundMessage, address: string): void {
    if (!message.ended) {
      this.#cancel(message, new RequestRefused(Code.EXPIRED, `a request to ${address} could not be sent in time`));
    }
  }

  /** Give a request up: the addressee is told if it may have it. */
  #cancel(message: OutboundMessage, reason: unknown): void {
    const pending = this.#end(message);
    if (!pending) {
      return;
    }
    const { sequence: correlation, ended } = message;
    message.abandoned = true;
    pending.queue.drop(message, Code.CANCELLED);
    const { session } = this.#connection;
    if (ended && correlation !== undefined && session?.open) {
      session.signal({ opcode: Opcode.CANCEL, peer: 0, correlation });
    }
    pending.asker.failed(reason);
  }

  #fail(message: OutboundMessage, error: unknown): void {
    this.#end(message)?.asker.failed(error);
  }

  #end(message: OutboundMessage): Pending | undefined {
    const pending = this.#pending.get(message);
    if (pending) {
      this.#pending.delete(message);
      if (message.sequence !== undefined) {
        this.#sent.delete(message.sequence);
      }
      pending.settle();
    }
    return pending;
  }

  // Frames of the gateway.

  /** Handle a REPLY, or a part of one. */
  replied(arrival: Arrival): void {
    const pending = this.#sent.get(arrival.offset);
    if (!pending) {
      return; // nobody waits for it any more
    }
    const { message, queue, asker, limit } = pending;
    queue.answered(message);
    limit.progressed();
    const last = !(arrival.flags & Flag.MORE);
    const reply = new Reply(arrival);
    if (arrival.flags & Flag.FAILED) {
      const text = reply.headers?.error;
      const problem = typeof text === "string" ? text : "it did not say why";
      this.#fail(message, new RequestFailed(Code.INTERNAL, `${queue.address} failed: ${problem}`));
      return;
    }
    if (last) {
      this.#end(message);
    }
    asker.replied(reply, last);
  }

  /** Handle a chunk, or the head, of a large reply: it makes progress. */
  progressed(correlation: bigint): void {
    this.#sent.get(correlation)?.limit.progressed();
  }

  /** Handle a reply that cannot be read. */
  failed({ offset, code, problem }: Failure): void {
    const pending = this.#sent.get(offset);
    if (pending && !CUT_OFF.has(code)) {
      this.#cancel(pending.message, new RequestRefused(code, `the reply of ${pending.queue.address}: ${problem}`));
    }
  }

  /** Handle an ERROR that names a correlation and no peer; returns whether it does. */
  refused({ correlation, peer, code, message: text }: Refusal): boolean {
    if (correlation === undefined || peer !== undefined) {
      return false;
    }
    const pending = this.#sent.get(correlation);
    if (!pending) {
      return true;
    }
    const { message, queue } = pending;
    this.#sent.delete(correlation);
    const refusal = new RequestRefused(code, `request to ${queue.address}: ${text}`);
    if (!UNDELIVERED.has(code) || !queue.again(message, refusal)) {
      this.#fail(message, refusal);
      queue.drop(message, code);
    }
    return true;
  }

  // Connections.

  attached(): void {
    for (const queue of this.#queues.values()) {
      if (!queue.idle) {
        this.#sender.wake(queue);
      }
    }
  }

  /** Fail the requests that were sent on the session that has ended; the others go out on the next one. */
  detached(): void {
    this.#sent.clear();
    for (const { message, queue } of [...this.#pending.values()]) {
      if (message.ended) {
        const problem = `the connection was lost before ${queue.address} had answered`;
        this.#fail(message, new ConnectionFailed(`${problem}: the request may have been done or not`));
      }
    }
    for (const queue of this.#queues.values()) {
      queue.lost();
    }
  }

  close(error: Error): void {
    for (const { message } of [...this.#pending.values()]) {
      this.#fail(message, error);
    }
    for (const queue of this.#queues.values()) {
      queue.fail(error);
    }
  }
}
