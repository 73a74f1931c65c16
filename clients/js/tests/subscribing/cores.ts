/** Subscriptions without a client. */

import { Received } from "../../src/messages/received.ts";
import { Reports } from "../../src/report.ts";
import type { Arrival } from "../../src/session/wire.ts";
import { SubscriptionCore, type SubscriptionSettings } from "../../src/subscribing/subscription_core.ts";
import { FakeClock } from "../fakes.ts";

const SETTINGS: SubscriptionSettings = {
  since: undefined,
  view: undefined,
  lower: undefined,
  credits: undefined,
  observe: false,
  autoAck: true,
  conflate: true,
  latest: false,
  onGap: undefined,
  onEnded: undefined,
  onError: undefined,
};

export function newCore(settings: Partial<SubscriptionSettings> = {}) {
  const clock = new FakeClock();
  const errors: Error[] = [];
  const reports = new Reports(clock, (error) => errors.push(error));
  return { core: new SubscriptionCore(1, "wf/*", { ...SETTINGS, ...settings }, clock, reports), clock, errors };
}

/** Deliver messages of one stream of events. */
export function delivering(core: SubscriptionCore, ...arrivals: Arrival[]): void {
  for (const found of arrivals) {
    const source = { name: "wf/a", epoch: 1, kind: "event", observed: false } as const;
    core.deliver(new Received(source, found, 0n), 0, undefined, undefined);
  }
}
