/**
 * Reception of one stream: a subscription by the view that the plan calls for.
 *
 * Another plan gets another subscription; the one before ends when the first message of the new one has come, so that the canvas
 * always has something to show.
 */

import type { Client, Message, Subscription, View } from "@frys/client";
import { type Plan, sliceOf } from "./slicing_plan.ts";

/** Wanted part of the messages. */
export interface Wish {
  readonly plan: Plan | undefined;
  readonly tensor: string | undefined;
  /** Versions a second at most; undefined: the stream is no state. */
  readonly rateHz: number | undefined;
  /** Offset of the first wanted message. */
  readonly since: number | undefined;
}

export interface ReceptionEvents {
  received(message: Message, wish: Wish): void;
  /** The view does not fit the stream's messages, or another error of the subscription. */
  failed(error: Error, wish: Wish): void;
}

interface Receiving {
  readonly wish: Wish;
  readonly key: string;
  readonly aborting: AbortController;
  subscription?: Subscription;
}

/** Time over which rates are measured. */
const RATE_MS = 2000;

export class Reception {
  messages = 0;
  bytes = 0;
  readonly #client: Client;
  readonly #stream: string;
  readonly #events: ReceptionEvents;
  #current: Receiving | undefined;
  #before: Receiving | undefined;
  #recent: { readonly atMs: number; readonly bytes: number }[] = [];

  constructor(client: Client, stream: string, events: ReceptionEvents) {
    this.#client = client;
    this.#stream = stream;
    this.#events = events;
  }

  /** Receive by a wish from now on, unless that is so already. */
  async want(wish: Wish): Promise<void> {
    const key = JSON.stringify(viewOf(wish) ?? null);
    if (key === this.#current?.key) {
      return;
    }
    this.#end(this.#before);
    this.#before = this.#current;
    const receiving: Receiving = { wish, key, aborting: new AbortController() };
    this.#current = receiving;
    const view = viewOf(wish);
    try {
      receiving.subscription = await this.#client.subscribe(this.#stream, {
        ...(view ? { view } : {}),
        ...(wish.since === undefined ? {} : { since: wish.since }),
        observe: true,
        signal: receiving.aborting.signal,
        onMessage: (message) => this.#received(message, receiving),
        onGap: () => undefined,
        onError: (error) => this.#failed(error, receiving),
      });
    } catch (error) {
      this.#failed(error as Error, receiving);
    }
  }

  #received(message: Message, receiving: Receiving): void {
    if (receiving !== this.#current) {
      return; // its plan has been given up
    }
    this.#end(this.#before);
    this.#before = undefined;
    const bytes = message.tensors.reduce((sum, tensor) => sum + tensor.bytes.byteLength, 0);
    this.messages++;
    this.bytes += bytes;
    this.#recent.push({ atMs: performance.now(), bytes });
    this.#events.received(message, receiving.wish);
  }

  #failed(error: Error, receiving: Receiving): void {
    if (receiving === this.#current && !receiving.aborting.signal.aborted) {
      this.#current = undefined;
      this.#end(receiving);
      this.#events.failed(error, receiving.wish);
    }
  }

  /** Return messages and bytes a second of the last time. */
  rates(): { readonly messagesPerS: number; readonly bytesPerS: number } {
    const startMs = performance.now() - RATE_MS;
    this.#recent = this.#recent.filter(({ atMs }) => atMs >= startMs);
    const bytes = this.#recent.reduce((sum, each) => sum + each.bytes, 0);
    return { messagesPerS: (this.#recent.length * 1000) / RATE_MS, bytesPerS: (bytes * 1000) / RATE_MS };
  }

  /** Receive nothing, until there is another wish. */
  stop(): void {
    this.#end(this.#before);
    this.#end(this.#current);
    this.#before = this.#current = undefined;
  }

  #end(receiving: Receiving | undefined): void {
    receiving?.aborting.abort();
  }
}

function viewOf({ plan, tensor, rateHz }: Wish): View | undefined {
  const slice = plan && sliceOf(plan);
  const view: View = {
    ...(slice ? { slice } : {}),
    ...(rateHz === undefined ? {} : { maxRateHz: rateHz }),
    ...(tensor === undefined ? {} : { tensor }),
  };
  return Object.keys(view).length ? view : undefined;
}
