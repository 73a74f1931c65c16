/** Client of a Frys Gateway (`spec/client.md`). */

import { ClientParts } from "./client_parts.ts";
import {
  Code,
  ConnectionClosed,
  ConnectionFailed,
  InvalidArgument,
  RequestRefused,
  RequestTimeout,
  UsageError,
} from "./errors.ts";
import { areKnown, CALL_OPTIONS, CONNECT_OPTIONS, type KnownOptions, SUBSCRIBE_OPTIONS } from "./option_check.ts";
import type { ClientOptions, SubscribeOptions } from "./options.ts";
import type { Presence } from "./presence/presence.ts";
import type { PresenceOptions } from "./presence/presences.ts";
import type { LinkQuality } from "./protocol/link_quality.ts";
import { scoreOf } from "./protocol/link_quality.ts";
import type { Counts, Position, Since } from "./protocol/messages.ts";
import { checkPattern } from "./protocol/names.ts";
import type { Reply } from "./requests/contents.ts";
import type { Inbox, InboxOptions } from "./requests/inbox.ts";
import type { Asked, Requester, RequestOptions } from "./requests/requester.ts";
import { contentOf, type Value } from "./sending/content.ts";
import type { MessageOptions, PublishOptions } from "./sending/publish_options.ts";
import type { TransmissionResult } from "./sending/result.ts";
import { unlessAborted } from "./session/aborting.ts";
import type { ClientState } from "./session/connection.ts";
import { type CallLimits, limited } from "./session/time_limit.ts";
import { callBack, callBackLatest } from "./subscribing/called_back.ts";
import { Subscription } from "./subscribing/subscription.ts";
import { SubscriptionCore } from "./subscribing/subscription_core.ts";
import { wiresFor } from "./wires.ts";

/**
 * Connect to a gateway: one attempt, and another when a busy gateway asks for it.
 *
 * @param url `ws://host:port` or `wss://host:port`.
 * @throws ConnectionFailed there is no gateway, or it takes no client for now: then with its `code` and `retryAfterS`.
 * @throws ConnectionClosed the gateway refused the client, and would refuse it again.
 * @throws InvalidArgument options that there are none of, or of another type.
 */
export async function connect(url: string, options: ClientOptions = {}): Promise<Client> {
  await checkOptions("connect", options, CONNECT_OPTIONS);
  const parts = new ClientParts(url, options, await wiresFor(options));
  await parts.connection.open();
  return new Client(parts);
}

/** Client: publishes and subscribes over one connection, which it keeps up. Make one with {@link connect}. */
export class Client {
  readonly #parts: ClientParts;

  /**
   * Make the client of parts that are connected.
   *
   * @internal
   */
  constructor(parts: ClientParts) {
    this.#parts = parts;
  }

  get state(): ClientState {
    return this.#parts.connection.state;
  }

  /** Id of the client: that of the program, or the one that the gateway has chosen. */
  get clientId(): string {
    return this.#parts.connection.clientId ?? "";
  }

  /** Measured values of the connection, and their score (spec section 15). */
  get link(): LinkQuality & { readonly score: number } {
    const { connection, subscriptions, clock, sending } = this.#parts;
    const rtt_s = connection.session?.clock.smoothedS;
    const jitter_s = connection.session?.clock.jitterS;
    const unread = subscriptions.unread(clock.nowMs());
    const unread_s = unread.bytes ? unread.ms / 1000 : undefined;
    const found = {
      rtt_s,
      jitter_s,
      goodput_bytes_per_s: sending.loaded?.publisher.quality.goodputBytesPerS,
      unread_s,
    };
    return { ...found, score: scoreOf(found) };
  }

  /**
   * Publish one message, and return its acknowledgement.
   *
   * The memory of `value` may be changed as soon as the call has returned its promise.
   *
   * @throws RequestRefused the gateway, or a check that it would make as well, refused the message.
   * @throws RequestTimeout there was no progress in time.
   * @throws ConnectionFailed the client is closed, or it is not known whether the gateway has the message.
   * @throws UsageError a value or an option that cannot be used.
   */
  async publish(stream: string, value: Value, options: PublishOptions = {}): Promise<TransmissionResult> {
    this.#checkOpen();
    this.#checkMayPublish();
    return this.#parts.outbox.publish(stream, value, options);
  }

  /**
   * Publish one message that is not acknowledged; never waits. Its memory may be changed when the call has returned.
   *
   * @throws CapacityError too many bytes wait: await {@link Client.drain}.
   * @throws RequestRefused as {@link Client.publish}, as far as the client knows.
   * @throws UsageError a value or an option that cannot be used.
   */
  publishNowait(stream: string, value: Value, options: MessageOptions = {}): void {
    this.#checkOpen();
    this.#checkMayPublish();
    this.#parts.outbox.publishNowait(stream, value, options);
  }

  /** Wait until all published messages are written. */
  async drain(): Promise<void> {
    this.#checkOpen();
    await this.#parts.outbox.drained();
    this.#checkOpen();
  }

  /**
   * Subscribe to the streams of a pattern.
   *
   * Without a connection it waits for the next one, as long as that takes.
   *
   * @throws RequestRefused the gateway does not take the subscription.
   * @throws ConnectionClosed the client is closed.
   * @throws UsageError options that cannot be used.
   */
  async subscribe(pattern: string, options: SubscribeOptions = {}): Promise<Subscription> {
    await checkOptions("subscribe", options, SUBSCRIBE_OPTIONS);
    this.#checkOpen();
    const { clock, reports, subscriptions, isObserver } = this.#parts;
    const {
      view,
      lower,
      credits,
      observe,
      autoAck = true,
      conflate = true,
      latest = false,
      onMessage,
      signal,
    } = options;
    if (observe && (!autoAck || credits)) {
      throw new InvalidArgument("observe goes with neither credits nor autoAck: false: an observer answers nothing");
    }
    if (latest && !onMessage) {
      throw new InvalidArgument("latest hands messages to onMessage, once an animation frame: give onMessage");
    }
    signal?.throwIfAborted();
    const views = view || lower ? await subscriptions.views.load() : undefined;
    signal?.throwIfAborted();
    const core = new SubscriptionCore(
      this.#parts.nextSubscription(),
      checkPattern(pattern),
      {
        since: sinceOf(pattern, options.since),
        view: views?.viewFields(view),
        lower: views?.viewFields(lower),
        credits: credits && { messages: credits.messages, bytes: BigInt(credits.bytes) },
        observe: observe ?? (isObserver && autoAck && !credits),
        autoAck,
        conflate,
        latest,
        onGap: options.onGap,
        onEnded: options.onEnded,
        onError: options.onError,
      },
      clock,
      reports,
    );
    if (onMessage && latest) {
      callBackLatest(core, onMessage, reports, clock);
    } else if (onMessage) {
      callBack(core, onMessage, reports);
    }
    const subscription = new Subscription(core, subscriptions);
    if (signal) {
      const aborted = (): void => void subscriptions.stop(core, true);
      signal.addEventListener("abort", aborted);
      core.buffer.whenEnded = () => signal.removeEventListener("abort", aborted);
    }
    const starting = subscriptions.start(core, signal);
    await (signal ? unlessAborted(starting, signal) : starting);
    return subscription;
  }

  /**
   * Ask another client, or a member of a group, and return its last reply.
   *
   * @param address `agent:<client_id>` or `group:<name>`.
   * @throws RequestFailed the other client answered that the request has failed.
   * @throws RequestRefused the gateway refused it: nobody listens, the replier has gone, its deadline has passed.
   * @throws RequestTimeout there was no progress in time.
   * @throws ConnectionFailed it is not known whether the request was done.
   */
  async request(address: string, value: Value, options: RequestOptions = {}): Promise<Reply> {
    const asked = this.#asked(address, value, options);
    return (await this.#requester(address, options)).request(asked, options);
  }

  /**
   * Ask another client, or a member of a group, and yield each reply as it arrives, also the last one; errors as
   * {@link Client.request}. A loop that is left cancels the request.
   */
  async *requestStream(
    address: string,
    value: Value,
    options: RequestOptions = {},
  ): AsyncGenerator<Reply, void, undefined> {
    const asked = this.#asked(address, value, options);
    yield* (await this.#requester(address, options)).stream(asked, options);
  }

  /** Return a request; its content is copied, since the program may change its memory while code is loaded. */
  #asked(address: string, value: Value, options: RequestOptions): Asked {
    this.#checkOpen();
    this.#checkMayPublish();
    const content = contentOf(value, options.headers ?? null, options);
    return { address, content, calledNs: this.#parts.clock.localNs() };
  }

  async #requester(address: string, { timeoutMs, signal }: RequestOptions): Promise<Requester> {
    const name = `a request to ${address}`;
    return (await this.#limited(name, () => this.#parts.requests.load(), { timeoutMs, signal })).requester;
  }

  /**
   * Receive requests: those to this client, or as a member of a group.
   *
   * @throws UsageError the same inbox is open already.
   * @throws RequestRefused the gateway does not take it.
   */
  async inbox(options: InboxOptions = {}): Promise<Inbox> {
    this.#checkOpen();
    const { responder } = await this.#parts.requests.load();
    return responder.start(options, this.#parts.nextSubscription());
  }

  /**
   * Attend a workflow or a stream: join it with metadata, and learn who is there.
   *
   * @throws UsageError this client attends the scope already.
   * @throws RequestRefused the gateway does not take it.
   */
  async presence(scope: string, options: PresenceOptions = {}): Promise<Presence> {
    this.#checkOpen();
    const presences = await this.#parts.presences.load();
    return presences.start(scope, options);
  }

  /** Return the account that the gateway keeps of a subscription, by stream (spec section 7.7). */
  async account(
    subscription: Subscription,
    options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<Map<string, Counts>> {
    this.#checkOpen();
    const { inquiries } = this.#parts;
    return this.#limited(
      "the account",
      async (call) => (await inquiries.load()).account(subscription.core, call),
      options,
    );
  }

  /** Delete the streams that match a pattern, and return their names (spec section 4.11). */
  async delete(
    pattern: string,
    options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<string[]> {
    this.#checkOpen();
    this.#checkMayPublish();
    checkPattern(pattern);
    const { inquiries } = this.#parts;
    return this.#limited("delete", async (call) => (await inquiries.load()).delete(pattern, call), options);
  }

  /** Replace the token of the running session; returns the seconds for which it is good, or null. */
  async authenticate(
    token: string,
    options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<number | null> {
    this.#checkOpen();
    const { inquiries } = this.#parts;
    return this.#limited("authenticate", async (call) => (await inquiries.load()).authenticate(token, call), options);
  }

  /** Do work within a time limit; what is given up, by that or by the program, is not begun later. */
  async #limited<T>(name: string, work: (call: AbortSignal) => Promise<T>, options: CallLimits): Promise<T> {
    await checkOptions(name, options, CALL_OPTIONS);
    const { timeoutMs = this.#parts.timeoutMs, signal } = options;
    const late = (): Error => new RequestTimeout(`${name} was not answered within ${timeoutMs / 1000} s`);
    return limited(work, this.#parts.clock, { timeoutMs, signal }, late);
  }

  /** Send waiting messages, then close; both for `closeTimeoutMs` at most. Closing what is closed does nothing. */
  async close(): Promise<void> {
    await this.#parts.close();
  }

  #checkOpen(): void {
    const { error } = this.#parts.connection;
    if (error instanceof ConnectionClosed || error instanceof ConnectionFailed) {
      throw error;
    }
  }

  #checkMayPublish(): void {
    if (this.#parts.isExtension) {
      throw new RequestRefused(Code.FORBIDDEN, "an extension only observes, and answers requests");
    }
  }
}

function sinceOf(pattern: string, start: SubscribeOptions["since"]): Since | undefined {
  if (start === undefined || typeof start === "bigint" || start === "beginning") {
    return start;
  }
  if (typeof start === "number") {
    if (!Number.isSafeInteger(start) || start < 0) {
      throw new InvalidArgument(`since ${start} is no offset: give an integer from 0 on`);
    }
    return BigInt(start);
  }
  if (Array.isArray(start)) {
    if (pattern.includes("*")) {
      throw new UsageError(
        `since [epoch, offset] needs the name of one stream, not ${pattern}: give positions by name`,
      );
    }
    return { [pattern]: start as unknown as Position };
  }
  return start as Readonly<Record<string, Position>>;
}

/** Check options; the code that says what is wrong with them is loaded only when something is. */
async function checkOptions(call: string, options: object, known: KnownOptions): Promise<void> {
  if (!areKnown(options, known)) {
    throw (await import("./option_fault.ts")).optionFault(call, options, known);
  }
}
