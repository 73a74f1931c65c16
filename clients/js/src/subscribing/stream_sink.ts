/** Sink: stream of the present connection, by the id that STREAM has given it, and the subscriptions that receive it. */

import { isAcknowledged } from "../protocol/account.ts";
import type { Kind, StreamInfo } from "../protocol/messages.ts";
import type { TakenCredit } from "./credit_account.ts";
import type { DuplicateFilter } from "./duplicate_filter.ts";
import type { SubscriptionCore } from "./subscription_core.ts";

/** Credit that a message has taken, by subscription. */
export type Taken = ReadonlyMap<SubscriptionCore, TakenCredit | undefined>;

export class StreamSink {
  readonly id: number;
  readonly name: string;
  readonly epoch: number;
  readonly kind: Kind;
  readonly observed: boolean;
  /** Whether the messages are a view's, or observed: only the subscriptions that STREAM names get them. */
  readonly isNamed: boolean;
  /** Filter of an acknowledged stream that is not observed. */
  readonly filter: DuplicateFilter | undefined;
  readonly subscriptions = new Set<SubscriptionCore>();
  /** True while a complete version was asked for. */
  refreshing = false;

  constructor(info: StreamInfo, filter: DuplicateFilter | undefined) {
    this.id = info.id ?? 0;
    this.name = info.stream;
    this.epoch = info.epoch ?? 0;
    this.kind = info.kind ?? "event";
    this.observed = info.observed === true;
    this.isNamed = info.subscription !== undefined;
    this.filter = filter;
  }

  /** Return whether the messages of a subscription come by this id. */
  wants(core: SubscriptionCore, subscription: number | undefined): boolean {
    if (this.isNamed) {
      return core.number === subscription;
    }
    return !core.isView && core.matches(this.name) && !(isAcknowledged(this.kind) && core.settings.observe);
  }

  /** Take the credit of each subscription for a message that arrives (spec section 7.5). */
  take(bytes: number): Taken {
    const takes = this.filter === undefined || this.kind === "collaboration";
    return new Map([...this.subscriptions].map((core) => [core, takes ? core.credit.take(bytes) : undefined]));
  }
}
