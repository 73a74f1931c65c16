/** Told positions: first message of each stream that the program has not taken, as REPORT tells it (spec section 7.10). */

import type { ProgramPosition } from "../protocol/signals.ts";
import { MAX_POSITIONS } from "../protocol/wire.ts";
import type { SubscriptionCore } from "./subscription_core.ts";

/** Waiting items of all subscriptions that are looked at for one report. */
const MAX_LOOKED_AT = 4096;
/** Positions of a connection that both ends know, those that were named last. */
const KNOWN_POSITIONS = 256;
/** Largest number of messages that a position carries. */
const MAX_BEHIND = 0xffff_ffffn;

/** Positions of the program in the streams in which it is behind, and those that the gateway knows. */
export class ToldPositions {
  /** Positions by the number of the stream, the one named last at the end. */
  readonly #known = new Map<number, ProgramPosition>();

  /** Forget what the gateway knows: it knows by itself, or numbers of streams have another meaning from now on. */
  forget(): void {
    this.#known.clear();
  }

  /**
   * Return the positions that the gateway is to be told now, and take note of them.
   *
   * Streams in which the program has caught up come first, then new ones, then those that have changed and were not named for
   * longest. So each of thousands has its turn, some in each report.
   */
  changed(cores: Iterable<SubscriptionCore>): ProgramPosition[] {
    const { found, complete } = positionsOf(cores);
    const known = [...this.#known.values()];
    // Behind the items that were looked at there may be more of these streams.
    const gone = complete ? known.filter(({ stream }) => !found.has(stream)) : [];
    const caughtUp = gone.map(({ stream, behind, offset }) => ({ stream, behind: 0, offset: offset + BigInt(behind) }));
    const fresh = [...found.values()].filter(({ stream }) => !this.#known.has(stream));
    const moved = known.flatMap((told) => {
      const now = found.get(told.stream);
      return now && (now.offset !== told.offset || now.behind !== told.behind) ? [now] : [];
    });
    const named = [...caughtUp, ...fresh, ...moved].slice(0, MAX_POSITIONS);
    this.#remember(named);
    return named;
  }

  /** Remember what a REPORT names; the gateway forgets the same. */
  #remember(named: readonly ProgramPosition[]): void {
    for (const position of named) {
      this.#known.delete(position.stream);
      if (position.behind) {
        this.#known.set(position.stream, position);
      }
    }
    for (const stream of [...this.#known.keys()].slice(0, Math.max(0, this.#known.size - KNOWN_POSITIONS))) {
      this.#known.delete(stream);
    }
  }
}

/**
 * Return positions by the number of the stream, and whether these are all.
 *
 * If several subscriptions receive a stream, the one that is furthest behind counts. A stream is left out as long as this
 * connection has not announced it, or messages of its earlier incarnation wait.
 */
function positionsOf(cores: Iterable<SubscriptionCore>): { found: Map<number, ProgramPosition>; complete: boolean } {
  const waiting = [...cores].filter((core) => core.buffer.size);
  const share = Math.floor(MAX_LOOKED_AT / Math.max(waiting.length, 1)) || 1;
  const found = new Map<number, ProgramPosition>();
  let complete = true;
  for (const core of waiting) {
    const seen = new Set<string>();
    let looked = 0;
    for (const { received, first: next, pending, oldest } of core.buffer.all()) {
      if (looked === share) {
        complete = false;
        break;
      }
      looked++;
      const { name, epoch } = received.source;
      const end = pending || seen.has(name) ? undefined : core.position.endOf(name, epoch);
      if (end) {
        seen.add(name);
        const offset = oldest ?? received.arrival.offset + BigInt(next);
        found.set(end[0], furthest({ stream: end[0], behind: 0, offset }, end[1], found.get(end[0])));
      }
    }
  }
  return { found, complete };
}

/** Return the position of the program that is furthest behind; `following` is the offset behind all that has arrived. */
function furthest(own: ProgramPosition, following: bigint, other: ProgramPosition | undefined): ProgramPosition {
  const otherEnd = other ? other.offset + BigInt(other.behind) : following;
  const offset = other && other.offset < own.offset ? other.offset : own.offset;
  const behind = (otherEnd > following ? otherEnd : following) - offset;
  return { ...own, offset, behind: Number(behind < 1n ? 1n : behind > MAX_BEHIND ? MAX_BEHIND : behind) };
}
