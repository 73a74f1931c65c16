/**
 * Account of one stream of a subscription: counts of messages by their fate (spec section 7.7).
 *
 * Both ends keep the account by the same rules from the same frames, so that they agree on every number.
 */

import { Code } from "../errors.ts";
import { BEGINNING, type Counts, type Kind, type Since } from "./messages.ts";

/** Relation of a range of messages to those that the subscription had before. */
export interface Continuation {
  /** Messages before the range that were never sent; of a state: conflated. */
  readonly skipped: bigint;
  /** Messages of the range, from the first on, that the subscription had before. */
  readonly repeated: number;
}

/** Return whether receivers answer the messages of a stream of this kind. */
export function isAcknowledged(kind: Kind): boolean {
  return kind === "collaboration" || kind === "control";
}

/** Return the first offset of a stream that `since` asks for; undefined: the gateway chooses (spec section 4.3). */
export function firstWanted(since: Since | undefined, stream: string, epoch: number): bigint | undefined {
  if (since === undefined || since === BEGINNING || typeof since === "bigint") {
    return since === BEGINNING ? undefined : since;
  }
  const position = Object.hasOwn(since, stream) ? since[stream] : ([epoch, 0n] as const);
  return position[0] === epoch ? position[1] : 0n;
}

/** Account of one stream, from the offset at which the subscription started. */
export class StreamAccount {
  kind: Kind;
  epoch = 0;
  /** Offset behind the last one that was sent; undefined before the start is known. */
  next: bigint | undefined;
  delivered = 0n;
  conflated = 0n;
  dropped = 0n;
  replayed = 0n;
  expired = 0n;
  clientConflated = 0n;
  /** Messages that were sent again. */
  duplicates = 0n;
  #replayFirst = 0n;
  #replayEnd = 0n;

  constructor(kind: Kind) {
    this.kind = kind;
  }

  /** Counts as ACCOUNT carries them. */
  get counts(): Counts {
    const { delivered, conflated, dropped, replayed, expired, clientConflated } = this;
    return { delivered, conflated, dropped, replayed, expired, client_conflated: clientConflated || undefined };
  }

  /**
   * Start at the offset that STREAM names.
   *
   * @returns number of messages before `since` that are lost; 0 of a state.
   */
  start(epoch: number, wanted: bigint | undefined, since: bigint): bigint {
    this.epoch = epoch;
    this.#replayFirst = this.#replayEnd = 0n;
    if (isAcknowledged(this.kind)) {
      this.next = since;
      return 0n;
    }
    const next = wanted === undefined || wanted > since ? since : wanted;
    // The newest version of a state is yet to come: its offset tells how many were conflated.
    const lost = this.kind === "state" ? 0n : since - next;
    this.dropped += lost;
    this.next = next + lost;
    return lost;
  }

  /** Take note of REPLAY: these messages come from history, or once more. */
  replay(first: bigint, last: bigint): void {
    this.#replayFirst = first;
    this.#replayEnd = last + 1n;
  }

  /** Count messages, which may overlap earlier ones. */
  messages(epoch: number, first: bigint, count: number): Continuation {
    const end = first + BigInt(count);
    if (this.next === undefined || epoch !== this.epoch) {
      this.epoch = epoch;
      this.next = first;
    }
    const next = this.next;
    this.next = end > next ? end : next;
    if (isAcknowledged(this.kind)) {
      this.delivered += BigInt(count);
      this.replayed += positive(least(end, this.#replayEnd) - most(first, this.#replayFirst));
      return { skipped: 0n, repeated: 0 };
    }
    const skipped = positive(first - next);
    const repeated = least(positive(next - first), BigInt(count));
    if (this.kind === "state") {
      this.conflated += skipped;
    } else {
      this.dropped += skipped;
    }
    this.delivered += BigInt(count) - repeated;
    this.duplicates += repeated;
    this.replayed += positive(least(end, this.#replayEnd) - (first + repeated));
    return { skipped, repeated: Number(repeated) };
  }

  /** Count GAP; returns how many of its messages were not counted before. */
  gap(epoch: number, code: number, first: bigint, last: bigint): bigint {
    if (this.next === undefined || epoch !== this.epoch) {
      this.epoch = epoch;
      this.next = first;
    }
    const fresh = positive(last + 1n - (isAcknowledged(this.kind) ? first : most(first, this.next)));
    if (code === Code.EXPIRED) {
      this.expired += fresh;
    } else {
      this.dropped += fresh;
    }
    this.next = most(this.next, last + 1n);
    return fresh;
  }
}

function positive(value: bigint): bigint {
  return value > 0n ? value : 0n;
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function most(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
