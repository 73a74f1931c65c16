/**
 * Subscription position: next offset and account of each stream of a subscription (`spec/client.md`, section 5).
 *
 * A position outlives connections, so that a subscription asks for the messages that it missed. Knows offsets; does not know
 * messages nor sockets.
 */

import { Code } from "../errors.ts";
import { firstWanted, isAcknowledged, StreamAccount } from "../protocol/account.ts";
import type { Counts, Kind, Position, Since, StreamInfo } from "../protocol/messages.ts";

/** Streams that have ended on one connection whose accounts are kept one by one, as the gateway does. */
const MAX_ENDED = 1024;

/** Offsets whose messages a subscription will not get. */
export interface Gap {
  readonly stream: string;
  /** Reason, such as `Code.HISTORY_LOST`. */
  readonly code: number;
  readonly first: bigint;
  readonly last: bigint;
}

/** End of a stream that a subscription has received. A new one of the name may begin, in another epoch. */
export interface StreamEnded {
  readonly stream: string;
  readonly epoch: number;
  /** `deleted`, `expired`, `made_room`, or another one of a newer gateway. */
  readonly reason: string;
}

/** Position in one stream. */
export class StreamPosition extends StreamAccount {
  /** Whether the gateway has named the start on this connection. */
  settled = true;
  /** Whether SUBSCRIBE has named the position, and no STREAM has answered on this connection. */
  asked = false;
  /** Offset of a state that could not be decoded and was requested again. */
  awaited: bigint | undefined;
  /** Number of the stream on this connection. */
  id: number | undefined;
  /** Whether its messages come by the lower view. */
  lowered = false;
  /** Messages that could not be decoded. */
  failed = 0n;
  /** Messages of an acknowledged stream that arrived again while the program held or had processed them. */
  repeated = 0n;

  override messages(epoch: number, first: bigint, count: number): ReturnType<StreamAccount["messages"]> {
    if (this.next === undefined || epoch >= this.epoch) {
      return super.messages(epoch, first, count);
    }
    // The messages are of an earlier stream of the name, which has not ended yet: the position stays.
    this.delivered += BigInt(count);
    return { skipped: 0n, repeated: 0 };
  }

  /** Want a version that has come by the lower view once more: the next connection begins with the other view. */
  rise(): void {
    if (this.lowered && this.kind === "state" && this.next) {
      this.next -= 1n;
    }
    this.lowered = false;
  }
}

/** Position and counts of one stream, as SUBSCRIBE names them. */
export interface StreamPart {
  readonly stream: string;
  readonly position: Position;
  readonly counts: Counts;
}

/** Callbacks of a position to its subscription. */
export interface PositionEvents {
  gap(gap: Gap): void;
  ended(ended: StreamEnded): void;
}

export class SubscriptionPosition {
  readonly since: Since | undefined;
  /** Whether SUBSCRIBED has arrived on this connection. */
  joined = false;
  readonly #events: PositionEvents;
  readonly #streams = new Map<string, StreamPosition>();
  readonly #ended = new Set<string>();
  readonly #endedBefore = new Set<string>();
  /** Sums of streams that have ended and were forgotten. */
  readonly #past = new StreamPosition("event");
  #unanswered: bigint | undefined;
  #onGone: (streams: readonly string[]) => void = () => undefined;
  #joinedBefore = false;
  /** Whether SUBSCRIBE has named the position in each stream, in place of the program's start. */
  #resumed = false;

  constructor(since: Since | undefined, events: PositionEvents) {
    this.since = since;
    this.#events = events;
  }

  /** Accounts by stream. */
  get counts(): Map<string, Counts> {
    return new Map([...this.#streams].map(([name, stream]) => [name, stream.counts]));
  }

  /** Sums of all streams, those too that were forgotten. */
  *all(): Generator<StreamPosition> {
    yield* this.#streams.values();
    yield this.#past;
  }

  /** Streams that come by the lower view now. */
  get lowered(): ReadonlySet<string> {
    return new Set([...this.#streams].filter(([, { lowered, settled }]) => lowered && settled).map(([name]) => name));
  }

  /** Begin to subscribe: returns the position in each stream; of a subscription that is new undefined. */
  ask(): StreamPart[] | undefined {
    this.#resumed = this.#joinedBefore;
    if (!this.#resumed) {
      return undefined;
    }
    const parts: StreamPart[] = [];
    for (const [stream, position] of this.#streams) {
      if (position.next !== undefined) {
        position.asked = true;
        parts.push({ stream, position: [position.epoch, position.next], counts: position.counts });
      }
    }
    return parts;
  }

  /** End a connection: all messages belong to other subscriptions until this one is joined again. */
  leave(): void {
    if (this.joined && this.#unanswered === 0n) {
      // All streams that exist were announced, so that the others have ended.
      for (const [name, stream] of this.#streams) {
        if (stream.asked) {
          this.#endedBefore.add(name);
        }
      }
    }
    this.joined = false;
    for (const stream of this.#streams.values()) {
      stream.settled = stream.asked = false;
      stream.rise();
    }
    for (const name of this.#ended) {
      this.#endedBefore.add(name);
    }
    this.#ended.clear();
    for (const name of this.#endedBefore) {
      if (this.#endedBefore.size <= MAX_ENDED) {
        break;
      }
      this.#endedBefore.delete(name);
      this.#forget(name);
    }
  }

  /**
   * Handle SUBSCRIBED: streams that are announced from now on are meant for this subscription as well.
   *
   * @param positions number of the streams that SUBSCRIBE has named and that exist in their epochs.
   * @param onGone called with the others as soon as the existing ones are announced.
   */
  join(positions: bigint | undefined, onGone: (streams: readonly string[]) => void): void {
    this.joined = this.#joinedBefore = true;
    this.#unanswered = this.#resumed ? positions : undefined;
    this.#onGone = onGone;
    this.#findGone();
  }

  #findGone(): void {
    const gone =
      this.#unanswered === 0n ? [...this.#streams].filter(([, { asked }]) => asked).map(([name]) => name) : [];
    if (gone.length) {
      this.#onGone(gone);
    }
  }

  /** Handle STREAM, which names the offset from which on messages come (spec section 4.3). */
  announce(info: StreamInfo): void {
    const { stream: name, epoch = 0, since } = info;
    const id = info.id ?? undefined;
    // Observed messages come in order and once, as those of an event stream.
    const kind: Kind = info.observed ? "event" : (info.kind ?? "event");
    let stream = this.#streams.get(name);
    if (!stream) {
      stream = new StreamPosition(kind);
      this.#streams.set(name, stream);
    } else if (stream.settled && stream.epoch === epoch) {
      if (info.lowered !== undefined && since !== undefined && stream.id !== undefined && stream.id !== id) {
        stream.start(epoch, stream.next, since); // another view takes the place of the one before
        stream.lowered = info.lowered;
      }
      stream.id = id;
      return; // or it answers another subscription
    }
    this.#ended.delete(name);
    this.#endedBefore.delete(name);
    const answered = stream.asked && stream.epoch === epoch;
    stream.asked = false;
    stream.id = id;
    stream.kind = kind;
    stream.settled = true;
    stream.lowered = info.lowered === true;
    if (since !== undefined) {
      const lost = stream.start(epoch, this.#wanted(stream, name, epoch), since);
      if (lost) {
        this.#events.gap({ stream: name, code: Code.HISTORY_LOST, first: since - lost, last: since - 1n });
      }
    }
    if (answered && this.#unanswered !== undefined) {
      this.#unanswered -= 1n;
      this.#findGone();
    }
  }

  #wanted(stream: StreamPosition, name: string, epoch: number): bigint | undefined {
    if (!this.#resumed) {
      return firstWanted(this.since, name, epoch);
    }
    return stream.epoch === epoch ? (stream.next ?? 0n) : 0n;
  }

  /** Handle STREAM that tells an end: the next stream of the name starts anew, and its account goes on. */
  end(ended: StreamEnded, id: number): void {
    const stream = this.#streams.get(ended.stream);
    if (stream?.settled && stream.id === id) {
      stream.settled = false;
      stream.id = undefined;
      if (this.#ended.size < MAX_ENDED) {
        this.#ended.add(ended.stream);
      } else {
        this.#forget(ended.stream);
      }
    }
    this.#events.ended(ended);
  }

  #forget(name: string): void {
    const stream = this.#streams.get(name);
    this.#streams.delete(name);
    if (stream) {
      for (const sum of SUMS) {
        this.#past[sum] += stream[sum];
      }
    }
  }

  /** Handle REPLAY. */
  replay(name: string, first: bigint, last: bigint): void {
    const stream = this.#streams.get(name);
    if (stream?.settled) {
      stream.replay(first, last);
    }
  }

  /** Handle GAP. */
  skip(gap: Gap, epoch: number): void {
    const fresh = this.#settled(gap.stream)?.gap(epoch, gap.code, gap.first, gap.last) ?? 0n;
    if (fresh) {
      this.#events.gap({ ...gap, first: gap.last + 1n - fresh });
    }
  }

  /** Return the number under which this connection brings a stream. */
  idOf(name: string): number | undefined {
    const stream = this.#streams.get(name);
    return stream?.settled ? stream.id : undefined;
  }

  /** Return the number of a stream on this connection, and the offset behind all that was received in this epoch. */
  endOf(name: string, epoch: number): readonly [id: number, next: bigint] | undefined {
    const stream = this.#streams.get(name);
    const { id, next } = stream ?? {};
    return stream?.settled && stream.epoch === epoch && id !== undefined && next !== undefined ? [id, next] : undefined;
  }

  /** Record versions of a state that this client conflated, as the gateway is told. */
  recordConflated(name: string, count: bigint): void {
    const stream = this.#streams.get(name);
    if (stream) {
      stream.clientConflated += count;
    }
  }

  /**
   * Record messages that arrived.
   *
   * @returns number of messages at the front that the subscription has already, or did not ask for.
   */
  recordArrival(name: string, kind: Kind, epoch: number, offset: bigint, count: number): number {
    const stream = this.#settled(name, kind);
    if (!stream) {
      return count;
    }
    const { skipped, repeated } = stream.messages(epoch, offset, count);
    const { awaited } = stream;
    stream.awaited = undefined;
    if (repeated && offset === awaited) {
      stream.failed -= BigInt(repeated);
      stream.duplicates -= BigInt(repeated);
      return 0;
    }
    if (skipped && stream.kind !== "state") {
      this.#events.gap({ stream: name, code: Code.QUEUE_FULL, first: offset - skipped, last: offset - 1n });
    }
    return repeated;
  }

  /**
   * Record messages that arrived and cannot be read.
   *
   * @param again whether a keyframe in their place has been requested.
   * @returns number of messages that are no duplicates.
   */
  recordFailure(name: string, epoch: number, offset: bigint, count: number, again: boolean): number {
    const stream = this.#settled(name);
    if (!stream) {
      return 0;
    }
    if (again) {
      stream.awaited = offset;
    }
    const fresh = count - stream.messages(epoch, offset, count).repeated;
    stream.failed += BigInt(fresh);
    return fresh;
  }

  /** Count messages that arrived again while the program held or had processed them. */
  recordDuplicate(name: string, count: number): void {
    const stream = this.#settled(name);
    if (stream) {
      stream.repeated += BigInt(count);
    }
  }

  #settled(name: string, kind: Kind = "event"): StreamPosition | undefined {
    let stream = this.#streams.get(name);
    if (!stream) {
      if (isAcknowledged(kind) || this.#resumed || this.since !== undefined || !this.joined) {
        return undefined;
      }
      stream = new StreamPosition(kind);
      this.#streams.set(name, stream);
    }
    return stream.settled ? stream : undefined;
  }
}

const SUMS = [
  "delivered",
  "conflated",
  "dropped",
  "replayed",
  "expired",
  "clientConflated",
  "duplicates",
  "failed",
  "repeated",
] as const;
