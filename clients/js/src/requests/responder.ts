/** Inboxes and replies of a client, kept over connections (`spec/client.md`, section 6). */

import { onDropped } from "../dropped.ts";
import { Code, ConnectionFailed, RequestRefused, UsageError } from "../errors.ts";
import { checkOptions, REPLY_OPTIONS } from "../option_fault.ts";
import { checkAddress } from "../protocol/addresses.ts";
import { bytesOf } from "../protocol/buffers.ts";
import type { Refusal } from "../protocol/messages.ts";
import type { Cancel } from "../protocol/signals.ts";
import { Flag, Opcode } from "../protocol/wire.ts";
import type { Reports } from "../report.ts";
import { contentOf, type Value } from "../sending/content.ts";
import { OutboundMessage, type Sending } from "../sending/outbound_message.ts";
import type { Sender } from "../sending/sender.ts";
import type { Clock } from "../session/clock.ts";
import type { Connection } from "../session/connection.ts";
import type { Session } from "../session/session.ts";
import type { Arrival, Failure } from "../session/wire.ts";
import { Inbox, type InboxOptions, type ReplyOptions, Request } from "./inbox.ts";
import { ReceiveQueue } from "./receive_queue.ts";
import { ReplyQueue } from "./reply_queue.ts";

/** Number of the subscription to the client's own inbox, which its requests name. */
const INBOX_NUMBER = 0;
/** Requests that may wait in an inbox, and bytes of them above which no other one may; further ones are answered with a failure. */
const MAX_WAITING = 4096;
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

interface OpenInbox {
  readonly number: number;
  readonly address: string;
  readonly queue: ReceiveQueue<Request>;
}

export class Responder {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #sender: Sender;
  readonly #reports: Reports;
  readonly #inboxes = new Map<number, OpenInbox>();
  readonly #open = new Map<string, Request>();
  readonly #queues = new Map<number, ReplyQueue>();

  constructor(connection: Connection, clock: Clock, sender: Sender, reports: Reports) {
    this.#connection = connection;
    this.#clock = clock;
    this.#sender = sender;
    this.#reports = reports;
  }

  /**
   * Open an inbox; without a connection it waits for the next one.
   *
   * @param number number of its subscription, for a group.
   * @throws UsageError the same inbox is open already, or options that there are none of.
   * @throws RequestRefused the gateway does not take it.
   */
  async start(options: InboxOptions, number: number): Promise<Inbox> {
    checkOptions("inbox", options, "r group");
    const { group } = options;
    const session = await this.#connection.whenReady();
    const address = checkAddress(group === undefined ? `agent:${session.welcome.client_id}` : `group:${group}`);
    if ([...this.#inboxes.values()].some((other) => other.address === address)) {
      throw new UsageError(`the inbox of ${address} is open already: close it first`);
    }
    const queue = new ReceiveQueue<Request>(({ tensors }) => bytesOf(tensors.map(({ bytes }) => bytes)));
    const inbox = { number: group === undefined ? INBOX_NUMBER : number, address, queue };
    this.#inboxes.set(inbox.number, inbox);
    try {
      await this.#ask(session, inbox);
    } catch (error) {
      if (!(error instanceof ConnectionFailed) || this.#connection.error) {
        this.#inboxes.delete(inbox.number);
        throw error;
      }
      await this.#connection.whenReady(); // the next session has asked again
    }
    const handle = new Inbox(address, inbox.queue, () => this.#stop(inbox));
    this.#closeDropped(handle, inbox);
    return handle;
  }

  /** Close an inbox that the program has dropped; nobody takes the requests that wait in it. */
  #closeDropped(handle: Inbox, inbox: OpenInbox): void {
    onDropped(handle, () => {
      for (const request of inbox.queue.taken()) {
        void request.fail("the request was not taken: the program has dropped the inbox");
      }
      return this.#stop(inbox);
    });
  }

  async #ask(session: Session, { number: subscription, address: pattern }: OpenInbox): Promise<void> {
    await session.ask((request) => ({ opcode: Opcode.SUBSCRIBE, request, subscription, pattern }));
  }

  async #stop(inbox: OpenInbox): Promise<void> {
    if (this.#inboxes.get(inbox.number) !== inbox) {
      return;
    }
    inbox.queue.end();
    const { session } = this.#connection;
    if (session?.open) {
      try {
        await session.ask((request) => ({ opcode: Opcode.UNSUBSCRIBE, request, subscription: inbox.number }));
      } catch {
        // Lost or refused, the gateway has no inbox any more.
      }
    }
    this.#inboxes.delete(inbox.number);
  }

  // Frames of the gateway.

  /** Handle a REQUEST. */
  requested(arrival: Arrival): void {
    const { session } = this.#connection;
    const inbox = this.#inboxes.get(arrival.stream);
    if (!session) {
      return;
    }
    const outlet = { reply: this.#reply.bind(this) };
    const request = new Request(arrival, inbox?.address ?? "", session, outlet);
    this.#open.set(keyOf(arrival.publisher, arrival.offset), request);
    if (!inbox || inbox.queue.over) {
      void request.fail("the request was not taken: the inbox is closed");
    } else if (inbox.queue.size >= MAX_WAITING || inbox.queue.bytes >= MAX_WAITING_BYTES) {
      void request.fail(`the request was not taken: ${inbox.queue.size} wait for the program`);
    } else {
      inbox.queue.put(request);
    }
  }

  /** Handle a request that cannot be read. */
  failed({ publisher, offset, code, problem }: Failure): void {
    const error = new RequestRefused(code, problem);
    this.#reports.report(error);
    this.#queueOf(publisher).submit(this.#message(offset, null, { headers: { error: error.message } }, Flag.FAILED));
  }

  /** Handle CANCEL: nobody wants the reply any more. */
  cancelled({ peer, correlation }: Cancel): void {
    const key = keyOf(peer, correlation);
    const request = this.#open.get(key);
    this.#open.delete(key);
    this.#queues.get(peer)?.cancel(correlation);
    if (request) {
      this.#reports.call(() => request.cancel());
    }
  }

  /** Handle an ERROR that answers a reply; returns whether it does. */
  refused({ peer, correlation, code, message }: Refusal): boolean {
    if (peer === undefined || correlation === undefined) {
      return false;
    }
    const refusal = new RequestRefused(code, `the reply to request ${correlation} of peer ${peer}: ${message}`);
    if (!this.#queues.get(peer)?.refuse(correlation, refusal)) {
      this.#reports.report(refusal);
    }
    return true;
  }

  // Connections.

  /** Open the inboxes again on a new session. */
  attached(session: Session): void {
    for (const inbox of this.#inboxes.values()) {
      this.#ask(session, inbox).catch((error: unknown) => {
        if (error instanceof RequestRefused && error.code !== Code.DRAINING) {
          this.#inboxes.delete(inbox.number);
          inbox.queue.end(error);
        } // otherwise the session has ended, and the next one asks again
      });
    }
  }

  /** Cancel the requests of the session that has ended. */
  detached(): void {
    const requests = [...this.#open.values()];
    this.#open.clear();
    const queues = [...this.#queues.values()];
    this.#queues.clear();
    for (const queue of queues) {
      queue.fail(new ConnectionFailed("a reply was dropped: its connection is gone"));
    }
    for (const request of requests) {
      this.#reports.call(() => request.cancel());
    }
  }

  close(error: Error | undefined): void {
    for (const { queue } of this.#inboxes.values()) {
      queue.end(error);
    }
    this.#inboxes.clear();
  }

  // Replies.

  async #reply(request: Request, value: Value, options: ReplyOptions, flags: number): Promise<void> {
    const { publisher, correlation, session } = request;
    if (session !== this.#connection.session) {
      this.#reports.report(new ConnectionFailed(`a reply to ${request.address} was dropped: its connection is gone`));
      return;
    }
    if (request.cancelled) {
      return;
    }
    if (flags !== Flag.MORE) {
      this.#open.delete(keyOf(publisher, correlation));
    }
    await new Promise<void>((resolve) => {
      const failed = (error: Error): void => {
        this.#reports.report(error);
        resolve();
      };
      const sending = {
        timeoutMs: Number.POSITIVE_INFINITY,
        taken: () => resolve(),
        failed,
        progressed: () => undefined,
      };
      this.#queueOf(publisher).submit(this.#message(correlation, value, options, flags, sending));
    });
  }

  #message(
    correlation: bigint,
    value: Value,
    options: ReplyOptions,
    flags: number,
    sending?: Sending,
  ): OutboundMessage {
    checkOptions("a reply", options, REPLY_OPTIONS);
    const message = new OutboundMessage({
      opcode: Opcode.REPLY,
      content: contentOf(value, options.headers ?? null, options),
      flags,
      calledNs: this.#clock.localNs(),
      codec: options.codec ?? "none",
      declaration: {},
      sending,
    });
    message.sequence = correlation;
    return message;
  }

  #queueOf(peer: number): ReplyQueue {
    let queue = this.#queues.get(peer);
    if (!queue) {
      // Most peers ask once.
      const forget = (done: ReplyQueue): unknown => this.#queues.get(peer) === done && this.#queues.delete(peer);
      queue = new ReplyQueue(this.#sender, peer, forget);
      this.#queues.set(peer, queue);
    }
    return queue;
  }
}

function keyOf(peer: number, correlation: bigint): string {
  return `${peer} ${correlation}`;
}
