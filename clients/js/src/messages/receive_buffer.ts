/** Receive buffer: messages between the connection and the program, of states the newest version of each stream. */

import type { TakenCredit } from "../subscribing/credit_account.ts";
import type { PendingAck } from "../subscribing/duplicate_filter.ts";
import type { Received } from "./received.ts";

/** Message of one subscription that waits for its program. */
export interface Waiting {
  readonly received: Received;
  /** Records at the front that the subscription has had. */
  readonly first: number;
  readonly pending: PendingAck | undefined;
  readonly credit: TakenCredit | undefined;
  /** Time of its arrival, by `Clock.nowMs`. */
  readonly arrivedMs: number;
  /** Whether the version before was replaced in the buffer. */
  readonly afterConflated: boolean;
}

interface Place {
  waiting: Waiting;
}

export class ReceiveBuffer {
  #places: Place[] = [];
  #head = 0;
  readonly #newest = new Map<string, Place>();
  readonly #asking: { resolve(waiting: Waiting | undefined): void; reject(error: Error): void }[] = [];
  #over = false;
  #error: Error | undefined;
  /** Called when something waits that did not before, or the buffer has ended. */
  whenFilled: (() => void) | undefined;

  /** Bytes that wait. */
  bytes = 0;

  get over(): boolean {
    return this.#over;
  }

  /** Number of messages that wait. */
  get size(): number {
    return this.#places.length - this.#head;
  }

  /** Time of arrival of the oldest one. */
  get oldestMs(): number | undefined {
    return this.#places[this.#head]?.waiting.arrivedMs;
  }

  /**
   * Add a message.
   *
   * @param conflates whether it takes the place of the one of its stream before it.
   * @returns the message whose place it took.
   */
  add(waiting: Waiting, conflates: boolean): Waiting | undefined {
    this.bytes += waiting.received.arrival.payload.byteLength;
    const asking = this.#asking.shift();
    if (asking) {
      this.bytes -= waiting.received.arrival.payload.byteLength;
      asking.resolve(waiting);
      return undefined;
    }
    const { name } = waiting.received.source;
    const place = conflates ? this.#newest.get(name) : undefined;
    if (place) {
      const replaced = place.waiting;
      this.bytes -= replaced.received.arrival.payload.byteLength;
      // Its place in the order stays that of the oldest version which was not taken.
      place.waiting = { ...waiting, arrivedMs: replaced.arrivedMs, afterConflated: true };
      return replaced;
    }
    const added = { waiting };
    this.#places.push(added);
    if (conflates) {
      this.#newest.set(name, added);
    }
    this.whenFilled?.();
    return undefined;
  }

  /** Take the next message; undefined: none waits. */
  take(): Waiting | undefined {
    const place = this.#places[this.#head];
    if (!place) {
      return undefined;
    }
    this.#head++;
    if (this.#head > 64 && 2 * this.#head > this.#places.length) {
      this.#places = this.#places.slice(this.#head);
      this.#head = 0;
    }
    const { waiting } = place;
    const { name } = waiting.received.source;
    if (this.#newest.get(name) === place) {
      this.#newest.delete(name);
    }
    this.bytes -= waiting.received.arrival.payload.byteLength;
    return waiting;
  }

  /** Return whether a message is among those that wait. */
  has(pending: PendingAck): boolean {
    return this.#places.some(({ waiting }, index) => index >= this.#head && waiting.pending === pending);
  }

  /** Return the messages that wait, the oldest first. */
  waiting(): Waiting[] {
    return this.#places.slice(this.#head).map(({ waiting }) => waiting);
  }

  /** Wait for the next message and take it; undefined: the buffer has ended. Throws the error with which it ended. */
  async next(): Promise<Waiting | undefined> {
    const found = this.take();
    if (found || (this.#over && !this.#error)) {
      return found;
    }
    if (this.#error) {
      throw this.#error;
    }
    return new Promise((resolve, reject) => this.#asking.push({ resolve, reject }));
  }

  /** End the buffer: all that waits can still be taken, and then comes the error, if there is one. */
  end(error?: Error): void {
    if (this.#over) {
      return;
    }
    this.#over = true;
    this.#error = error;
    for (const { resolve, reject } of this.#asking.splice(0)) {
      if (error) {
        reject(error);
      } else {
        resolve(undefined);
      }
    }
    this.whenFilled?.();
  }

  /** Drop all that waits, and return it. */
  clear(): Waiting[] {
    const dropped = this.waiting();
    this.#places = [];
    this.#head = 0;
    this.bytes = 0;
    this.#newest.clear();
    return dropped;
  }
}
