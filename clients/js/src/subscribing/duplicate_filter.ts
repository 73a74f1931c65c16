/**
 * Duplicate filter: units of an acknowledged stream that the program holds, and units that it has processed.
 *
 * A unit is a message or a record batch, which is answered as one. The gateway delivers it again until it has the answer; the
 * filter lets the program get each message once. It outlives sessions, and the epoch of the stream.
 */

import { Code } from "../errors.ts";
import type { Received } from "../messages/received.ts";
import type { Identity } from "../protocol/extensions.ts";
import { Acknowledger, type AckOutlet } from "./acknowledger.ts";
import { Ranges } from "./ranges.ts";
import type { StreamSink, Taken } from "./stream_sink.ts";

/** Producers whose processed sequences a stream remembers; the least recently seen one is forgotten first. */
const MAX_PRODUCERS = 256;

/** Unit as it arrived. */
export interface AckUnit {
  readonly epoch: number;
  readonly first: bigint;
  readonly count: number;
  readonly identity: Identity | undefined;
}

/** Subscription that answers for units. */
export interface AckScope {
  /** Return whether a unit waits in its buffer, or is in the hands of its program. */
  holds(pending: PendingAck): boolean;
  /** Give a unit up: the program has let go of it. */
  drop(pending: PendingAck): void;
}

/** Unit that the program has received and not answered yet, through one or several subscriptions. */
export class PendingAck {
  unit: AckUnit;
  processed = false;
  refusers: AckScope[] = [];
  code = 0;
  readonly #settle: (pending: PendingAck) => void;
  readonly #report: (pending: PendingAck) => void;
  readonly #open = new Set<AckScope>();

  constructor(unit: AckUnit, settle: (pending: PendingAck) => void, report: (pending: PendingAck) => void) {
    this.unit = unit;
    this.#settle = settle;
    this.#report = report;
  }

  /** Subscriptions that have not answered. */
  get open(): AckScope[] {
    return [...this.#open];
  }

  get held(): boolean {
    return this.open.some((scope) => scope.holds(this));
  }

  /** Wait for the answer of one more subscription. */
  wait(scope: AckScope): void {
    this.#open.add(scope);
  }

  /** Take the answer of a subscription: 0 if processed, a code if refused, undefined if given up. The first one counts. */
  answer(scope: AckScope, code: number | undefined): void {
    if (!this.#open.delete(scope)) {
      return;
    }
    if (code === 0) {
      this.processed = true;
    } else if (code !== undefined) {
      this.refusers.push(scope);
      this.code = code;
    }
    if (!this.#open.size) {
      this.#settle(this);
    }
  }

  /** Report that the program works on the unit. */
  inProgress(): void {
    if (this.#open.size) {
      this.#report(this);
    }
  }
}

/** Decision about a unit that has arrived. */
export interface FilterResult {
  /** Unit to be given to the program; undefined: a duplicate. */
  readonly pending: PendingAck | undefined;
  /** Subscriptions that get the unit; undefined: all. */
  readonly scopes: readonly AckScope[] | undefined;
}

export class DuplicateFilter {
  /** Epoch of the stream that was announced last. */
  announcedEpoch = 0;
  readonly #stream: string;
  readonly #acknowledger: Acknowledger;
  #epoch: number | undefined;
  #processed = new Ranges();
  readonly #sequences = new Map<bigint, Ranges>();
  #pending = new Map<bigint, PendingAck>();
  readonly #identified = new Map<string, PendingAck>();
  #refusers = new Map<bigint, readonly AckScope[]>();

  constructor(stream: string, acknowledger: Acknowledger) {
    this.#stream = stream;
    this.#acknowledger = acknowledger;
  }

  /**
   * Decide about a unit that has arrived: one that is processed is acknowledged at once, one that the program holds when the
   * program has processed it.
   */
  receive(unit: AckUnit): FilterResult {
    this.#enter(unit.epoch);
    let pending = this.#pending.get(unit.first) ?? this.#identified.get(keyOf(unit.identity));
    let scopes: readonly AckScope[] | undefined;
    if (pending && !pending.held) {
      scopes = pending.open;
      for (const scope of scopes) {
        scope.drop(pending);
        pending.answer(scope, undefined);
      }
      pending = undefined;
    }
    if (pending) {
      this.#pending.delete(pending.unit.first);
      this.#pending.set(unit.first, pending);
      pending.unit = unit;
      return { pending: undefined, scopes: undefined };
    }
    if (!scopes) {
      scopes = this.#refusers.get(unit.first);
      this.#refusers.delete(unit.first);
    }
    if (!scopes && this.#isProcessed(unit)) {
      this.#processed.add(unit.first, lastOf(unit));
      this.#acknowledger.add(this.#stream, unit.epoch, 0, unit.first, lastOf(unit));
      return { pending: undefined, scopes: undefined };
    }
    pending = new PendingAck(
      unit,
      (settled) => this.#settle(settled),
      ({ unit: { epoch, first, ...rest } }) =>
        this.#acknowledger.report(this.#stream, epoch, [[first, lastOf({ first, ...rest })]]),
    );
    this.#pending.set(unit.first, pending);
    if (unit.identity) {
      this.#identified.set(keyOf(unit.identity), pending);
    }
    return { pending, scopes };
  }

  /** Give a unit that has arrived to the subscriptions that are to answer for it, once. */
  deliver({ name, epoch, kind, subscriptions }: StreamSink, received: Received, taken: Taken): void {
    const { offset: first, extensions } = received.arrival;
    const { count } = received;
    const { pending, scopes } = this.receive({ epoch, first, count, identity: extensions?.identity });
    for (const core of subscriptions) {
      core.position.recordArrival(name, kind, epoch, first, count);
      if (pending && (!scopes || scopes.includes(core))) {
        core.deliver(received, 0, pending, taken.get(core));
      } else {
        core.leftOut(taken.get(core));
        if (!pending) {
          core.position.recordDuplicate(name, count);
        }
      }
    }
    if (pending && !pending.open.length) {
      this.refuse(epoch, first, count, Code.NOT_PROCESSED);
    }
  }

  /** Count offsets that will not come as processed. */
  skip(epoch: number, first: bigint, last: bigint): void {
    this.#enter(epoch);
    this.#processed.add(first, last);
  }

  /** Refuse units that have arrived and cannot be read. */
  refuse(epoch: number, first: bigint, count: number, code: number): void {
    this.#acknowledger.add(this.#stream, epoch, code, first, first + BigInt(count - 1));
  }

  /** Report the units that wait in a buffer, or that the program holds, as in progress. */
  reportHeld(): void {
    const held = new Ranges(Number.POSITIVE_INFINITY);
    for (const { held: isHeld, unit } of this.#pending.values()) {
      if (isHeld) {
        held.add(unit.first, lastOf(unit));
      }
    }
    if (this.#epoch !== undefined) {
      this.#acknowledger.report(this.#stream, this.#epoch, held);
    }
  }

  #settle(pending: PendingAck): void {
    const { unit } = pending;
    if (this.#pending.get(unit.first) === pending) {
      this.#pending.delete(unit.first);
    }
    if (unit.identity) {
      this.#identified.delete(keyOf(unit.identity));
    }
    if (pending.refusers.length) {
      if (pending.processed && unit.epoch === this.#epoch) {
        this.#refusers.set(unit.first, pending.refusers);
      }
      this.#acknowledger.add(this.#stream, unit.epoch, pending.code, unit.first, lastOf(unit));
    } else if (pending.processed) {
      this.#recordProcessed(unit);
      this.#acknowledger.add(this.#stream, unit.epoch, 0, unit.first, lastOf(unit));
    }
  }

  #enter(epoch: number): void {
    if (epoch !== this.#epoch) {
      this.#epoch = epoch;
      this.#processed = new Ranges();
      this.#pending = new Map();
      this.#refusers = new Map();
    }
  }

  #isProcessed(unit: AckUnit): boolean {
    if (this.#processed.covers(unit.first, lastOf(unit))) {
      return true;
    }
    const { identity } = unit;
    const last = (identity?.sequence ?? 0n) + BigInt(unit.count - 1);
    return identity !== undefined && this.#sequences.get(identity.producer)?.covers(identity.sequence, last) === true;
  }

  #recordProcessed(unit: AckUnit): void {
    if (unit.epoch === this.#epoch) {
      this.#processed.add(unit.first, lastOf(unit));
    }
    if (!unit.identity) {
      return;
    }
    const { producer, sequence } = unit.identity;
    const seen = this.#sequences.get(producer) ?? new Ranges();
    this.#sequences.delete(producer);
    seen.add(sequence, sequence + BigInt(unit.count - 1));
    this.#sequences.set(producer, seen);
    if (this.#sequences.size > MAX_PRODUCERS) {
      for (const oldest of this.#sequences.keys()) {
        this.#sequences.delete(oldest);
        break;
      }
    }
  }
}

function lastOf({ first, count }: Pick<AckUnit, "first" | "count">): bigint {
  return first + BigInt(count - 1);
}

function keyOf(identity: Identity | undefined): string {
  return identity ? `${identity.producer}:${identity.sequence}` : "";
}

/** Filters of all acknowledged streams, by name. */
export class DuplicateFilters {
  readonly #acknowledger: Acknowledger;
  readonly #filters = new Map<string, DuplicateFilter>();

  constructor(acknowledger: Acknowledger) {
    this.#acknowledger = acknowledger;
  }

  /** Send acknowledgements now. */
  flush(): void {
    this.#acknowledger.flush();
  }

  /** Return the filter of a stream, which is announced with this epoch. */
  of(stream: string, epoch: number): DuplicateFilter {
    let found = this.#filters.get(stream);
    if (!found) {
      found = new DuplicateFilter(stream, this.#acknowledger);
      this.#filters.set(stream, found);
    }
    found.announcedEpoch = epoch;
    return found;
  }

  /** Forget the filter of a stream that has ended, unless the next one of the name has been announced. */
  end(stream: string, epoch?: number): void {
    if (epoch === undefined || this.#filters.get(stream)?.announcedEpoch === epoch) {
      this.#filters.delete(stream);
    }
  }

  reportHeld(): void {
    for (const filter of this.#filters.values()) {
      filter.reportHeld();
    }
  }
}

/** Return filters that answer by this way. */
export function filtersFor(outlet: AckOutlet): DuplicateFilters {
  return new DuplicateFilters(new Acknowledger(outlet));
}
