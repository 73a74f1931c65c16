/** Inbox: requests to this client, or to a group of which it is a member, and the answers to them. */

import type { JsonObject } from "../protocol/exact_json.ts";
import { Flag } from "../protocol/wire.ts";
import type { ArrayOptions, Value } from "../sending/content.ts";
import type { CodecName } from "../sending/outbound_message.ts";
import type { Session } from "../session/session.ts";
import type { Arrival } from "../session/wire.ts";
import { Contents } from "./contents.ts";
import type { ReceiveQueue } from "./receive_queue.ts";

/** Options of a reply. */
export interface InboxOptions {
  /** Group that the client becomes a member of; absent: the inbox takes requests to the client itself. */
  readonly group?: string | undefined;
}

export interface ReplyOptions extends ArrayOptions {
  readonly headers?: JsonObject | null | undefined;
  readonly codec?: CodecName | undefined;
}

/** Way out of replies. */
export interface ReplyOutlet {
  reply(request: Request, value: Value, options: ReplyOptions, flags: number): Promise<void>;
}

/** Request of another client: it takes any number of partial replies, and then one reply or failure. */
export class Request extends Contents {
  /** Address that it was sent to. */
  readonly address: string;
  readonly correlation: bigint;
  /**
   * Session on which it came.
   *
   * @internal
   */
  readonly session: Session;
  readonly #outlet: ReplyOutlet;
  #cancelled = false;
  readonly #callbacks: (() => void)[] = [];

  /**
   * Make a request.
   *
   * @internal
   */
  constructor(arrival: Arrival, address: string, session: Session, outlet: ReplyOutlet) {
    super(arrival);
    this.address = address;
    this.correlation = arrival.offset;
    this.session = session;
    this.#outlet = outlet;
  }

  /** Whether nobody wants the answer any more. */
  get cancelled(): boolean {
    return this.#cancelled;
  }

  /** Call back when nobody wants the answer any more; at once if that is so already. */
  onCancel(callback: () => void): void {
    if (this.#cancelled) {
      callback();
    } else {
      this.#callbacks.push(callback);
    }
  }

  /** Wait until nobody wants the answer any more. */
  waitCancelled(): Promise<void> {
    return new Promise((resolve) => this.onCancel(resolve));
  }

  /**
   * Send the last reply. One that cannot be sent any more is reported, not thrown.
   *
   * @returns done when a small reply is written, or a large one is taken by the gateway.
   */
  reply(value: Value, options: ReplyOptions = {}): Promise<void> {
    return this.#outlet.reply(this, value, options, 0);
  }

  /** Send a partial reply; others follow. */
  replyPart(value: Value, options: ReplyOptions = {}): Promise<void> {
    return this.#outlet.reply(this, value, options, Flag.MORE);
  }

  /** Answer that the request has failed. */
  fail(error: string): Promise<void> {
    return this.#outlet.reply(this, null, { headers: { error } }, Flag.FAILED);
  }

  /**
   * Take note that nobody wants the answer any more.
   *
   * @internal
   */
  cancel(): void {
    if (!this.#cancelled) {
      this.#cancelled = true;
      for (const callback of this.#callbacks.splice(0)) {
        callback();
      }
    }
  }
}

/** Inbox of a client: an async iterable of requests, which may be answered in any order. */
export class Inbox implements AsyncIterable<Request> {
  /** `agent:<client_id>` or `group:<name>`. */
  readonly address: string;
  readonly #queue: ReceiveQueue<Request>;
  readonly #stop: () => Promise<void>;

  /**
   * Make an inbox.
   *
   * @internal
   */
  constructor(address: string, queue: ReceiveQueue<Request>, stop: () => Promise<void>) {
    this.address = address;
    this.#queue = queue;
    this.#stop = stop;
  }

  /** Return the next request that was not cancelled meanwhile; undefined: the inbox is closed. */
  async next(): Promise<Request | undefined> {
    for (;;) {
      const request = await this.#queue.next();
      if (!request?.cancelled) {
        return request;
      }
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Request, void, undefined> {
    for (let request = await this.next(); request; request = await this.next()) {
      yield request;
    }
  }

  /** Close the inbox. Requests that wait in it can still be taken and answered. */
  close(): Promise<void> {
    return this.#stop();
  }
}
