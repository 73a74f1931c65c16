/** Receive buffer: messages between the connection and the program, of states the newest version of each stream. */

import type { TakenCredit } from "../subscribing/credit_account.ts";
import type { PendingAck } from "../subscribing/duplicate_filter.ts";
import type { Received } from "./received.ts";
import { Takers } from "./takers.ts";

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
  /** Offset of the oldest version that this one has replaced in the buffer. */
  readonly oldest?: bigint | undefined;
}

interface Place {
  waiting: Waiting;
}

export class ReceiveBuffer {
  readonly #places: Place[] = [];
  readonly #newest = new Map<string, Place>();
  readonly #takers = new Takers<Waiting>();
  /** Called when something waits that did not before, or the buffer has ended. */
  whenFilled: (() => void) | undefined;
  /** Called once, when the buffer has ended. */
  whenEnded: (() => void) | undefined;

  /** Bytes that wait. */
  bytes = 0;

  get over(): boolean {
    return this.#takers.over;
  }

  /** Error with which it has ended. */
  get error(): Error | undefined {
    return this.#takers.error;
  }

  /** Number of messages that wait. */
  get size(): number {
    return this.#places.length;
  }

  /** Time of arrival of the oldest one. */
  get oldestMs(): number | undefined {
    return this.#places[0]?.waiting.arrivedMs;
  }

  /**
   * Add a message.
   *
   * @param conflates whether it takes the place of the one of its stream before it.
   * @returns the message whose place it took.
   */
  add(waiting: Waiting, conflates: boolean): Waiting | undefined {
    if (this.#takers.hand(waiting)) {
      return undefined;
    }
    this.bytes += bytesOf(waiting);
    const { name } = waiting.received.source;
    const place = conflates ? this.#newest.get(name) : undefined;
    if (place) {
      const replaced = place.waiting;
      this.bytes -= bytesOf(replaced);
      // Its place in the order stays that of the oldest version which was not taken.
      const oldest = replaced.oldest ?? replaced.received.arrival.offset + BigInt(replaced.first);
      place.waiting = { ...waiting, arrivedMs: replaced.arrivedMs, afterConflated: true, oldest };
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

  /** Yield all that waits, in its order. */
  *all(): Generator<Waiting> {
    for (const { waiting } of this.#places) {
      yield waiting;
    }
  }

  /** Take the next message; undefined: none waits. */
  take(): Waiting | undefined {
    const place = this.#places.shift();
    if (!place) {
      return undefined;
    }
    const { waiting } = place;
    const { name } = waiting.received.source;
    if (this.#newest.get(name) === place) {
      this.#newest.delete(name);
    }
    this.bytes -= bytesOf(waiting);
    return waiting;
  }

  /** Wait for the next message and take it; undefined: the buffer has ended. Throws the error with which it ended. */
  async next(): Promise<Waiting | undefined> {
    return this.take() ?? this.#takers.next();
  }

  /** Drop all that waits. */
  clear(): void {
    this.#places.length = 0;
    this.#newest.clear();
    this.bytes = 0;
  }

  /** End the buffer: all that waits can still be taken, and then comes the error, if there is one. */
  end(error?: Error): void {
    const before = this.over;
    this.#takers.end(error);
    if (!before) {
      this.whenFilled?.();
      this.whenEnded?.();
    }
  }
}

function bytesOf({ received }: Waiting): number {
  return received.arrival.payload.byteLength;
}
