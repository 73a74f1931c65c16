/** Subscription as the program holds it. */

import { onDropped } from "../dropped.ts";
import { UsageError } from "../errors.ts";
import type { Message, RecordBatch } from "../messages/message.ts";
import type { Counts } from "../protocol/messages.ts";
import type { SubscriptionCore } from "./subscription_core.ts";
import type { Subscriptions } from "./subscriptions.ts";

/** Counts of all streams of a subscription together; records count one by one. */
export interface SubscriptionCounts {
  readonly received: bigint;
  readonly conflated: bigint;
  readonly dropped: bigint;
  readonly expired: bigint;
  readonly duplicates: bigint;
  readonly failed: bigint;
  readonly replayed: bigint;
  /** Bytes that wait for the program. */
  readonly bufferedBytes: number;
}

/**
 * Subscription: an async iterable of messages, or of record batches.
 *
 * A loop that asks for the next message has processed the one before (`autoAck`). A loop that is left has not: JavaScript does
 * not tell a `break` from an error. `close()` answers for the message in progress. One that the program has dropped, with its
 * iterators and the messages that it still has to acknowledge, is closed with `keep`; one with `onMessage` stays open.
 */
export class Subscription implements AsyncIterable<Message> {
  readonly #core: SubscriptionCore;
  readonly #subscriptions: Subscriptions;

  constructor(core: SubscriptionCore, subscriptions: Subscriptions) {
    this.#core = core;
    this.#subscriptions = subscriptions;
    if (!core.isCalledBack) {
      core.handle = new WeakRef(this);
      onDropped(this, () => subscriptions.stop(core, true));
    }
  }

  get pattern(): string {
    return this.#core.pattern;
  }

  /** Account by stream, which the gateway keeps as well. */
  get account(): ReadonlyMap<string, Counts> {
    return this.#core.position.counts;
  }

  get counts(): SubscriptionCounts {
    const sums = { received: 0n, conflated: this.#core.conflatedCount, dropped: 0n, expired: 0n };
    const rest = { duplicates: 0n, failed: 0n, replayed: 0n };
    for (const stream of this.#core.position.all()) {
      sums.received += stream.delivered;
      sums.conflated += stream.conflated;
      sums.dropped += stream.dropped;
      sums.expired += stream.expired;
      rest.duplicates += stream.duplicates + stream.repeated;
      rest.failed += stream.failed;
      rest.replayed += stream.replayed;
    }
    return { ...sums, ...rest, bufferedBytes: this.#core.buffer.bytes };
  }

  /** Streams that come by the lower view now. */
  get lowered(): ReadonlySet<string> {
    return this.#core.position.lowered;
  }

  /**
   * Return the next message, and answer for the one before; undefined: the subscription has ended.
   *
   * @throws ConnectionClosed the client was closed with a final code.
   * @throws RequestRefused the gateway did not take the subscription again.
   */
  async next(): Promise<Message | undefined> {
    this.#checkIterable();
    return await this.#core.nextMessage(); // who waits here holds the subscription
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Message, void, undefined> {
    this.#checkIterable();
    for (let message = await this.#core.nextMessage(); message; message = await this.#core.nextMessage()) {
      yield message;
    }
  }

  /** Return an iterable of record batches; a message that was sent alone is a batch of one. */
  async *batches(): AsyncGenerator<RecordBatch, void, undefined> {
    this.#checkIterable();
    for (let batch = await this.#core.nextBatch(); batch; batch = await this.#core.nextBatch()) {
      yield batch;
    }
  }

  /**
   * End the subscription. A loop ends behind the messages that have arrived; `onMessage` is called no more.
   *
   * @param options with `keep` the gateway keeps unacknowledged messages for the client's return; then the message in progress is
   *   not answered.
   */
  async close({ keep = false }: { readonly keep?: boolean } = {}): Promise<void> {
    this.#core.finish(this.#core.settings.autoAck && !keep);
    await this.#subscriptions.stop(this.#core, keep);
  }

  /**
   * Part that the client keeps.
   *
   * @internal
   */
  get core(): SubscriptionCore {
    return this.#core;
  }

  #checkIterable(): void {
    if (this.#core.isCalledBack) {
      throw new UsageError(`messages of ${this.pattern} go to onMessage: subscribe without it to iterate`);
    }
  }
}
