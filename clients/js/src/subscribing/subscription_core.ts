/** Core of a subscription: everything that the client needs of it, so that the client does not hold the program's handle. */

import { Code, InvalidArgument } from "../errors.ts";
import { type AnswerHandle, Message, RecordBatch } from "../messages/message.ts";
import { ReceiveBuffer, type Waiting } from "../messages/receive_buffer.ts";
import type { Received, Source } from "../messages/received.ts";
import { isAcknowledged } from "../protocol/account.ts";
import type { JsonObject } from "../protocol/exact_json.ts";
import type { Credits, Since } from "../protocol/messages.ts";
import { checkPattern, matcherOf } from "../protocol/names.ts";
import type { Reports } from "../report.ts";
import type { Clock } from "../session/clock.ts";
import { CreditAccount, type TakenCredit } from "./credit_account.ts";
import type { AckScope, PendingAck } from "./duplicate_filter.ts";
import { type Gap, type StreamEnded, SubscriptionPosition } from "./subscription_position.ts";

/** Credit of a subscription for which the program names none. */
export const DEFAULT_CREDITS: Credits = { messages: 1024, bytes: 16n * 1024n * 1024n };

/** Settings of a subscription, checked. */
export interface SubscriptionSettings {
  readonly since: Since | undefined;
  readonly view: JsonObject | undefined;
  readonly lower: JsonObject | undefined;
  readonly credits: Credits | undefined;
  readonly observe: boolean;
  readonly autoAck: boolean;
  readonly conflate: boolean;
  /** Whether only the newest message of each stream waits, whatever its kind. */
  readonly latest: boolean;
  readonly onGap: ((gap: Gap) => void) | undefined;
  readonly onEnded: ((ended: StreamEnded) => void) | undefined;
  readonly onError: ((error: Error) => void) | undefined;
}

interface Held {
  waiting: boolean;
  messages: WeakRef<object>[];
}

export class SubscriptionCore implements AckScope {
  readonly number: number;
  readonly pattern: string;
  readonly matches: (name: string) => boolean;
  readonly settings: SubscriptionSettings;
  readonly position: SubscriptionPosition;
  readonly buffer = new ReceiveBuffer();
  readonly credit: CreditAccount;
  readonly #reports: Reports;
  readonly #clock: Clock;
  readonly #held = new Map<PendingAck, Held>();
  /** Versions of states that were replaced in the buffer, not reported yet, by stream. */
  readonly #conflated = new Map<string, bigint>();
  /** Message that a loop is at, and the next record of it. */
  #current: { waiting: Waiting; next: number } | undefined;
  /** Whether nothing is handed to the callback any more. */
  #isDropped = false;
  /** Call of the program that waits for a message, the last one of several. */
  #taking: Promise<unknown> | undefined;
  /** Versions of states that were replaced in the buffer. */
  conflatedCount = 0n;
  /** Whether messages go to a callback. */
  isCalledBack = false;
  /** Handle of the program, which a message holds that it has to acknowledge. */
  handle: WeakRef<object> | undefined;

  constructor(number: number, pattern: string, settings: SubscriptionSettings, clock: Clock, reports: Reports) {
    this.number = number;
    this.pattern = checkPattern(pattern);
    this.matches = matcherOf(pattern);
    this.settings = settings;
    this.#clock = clock;
    this.#reports = reports;
    const { credits = DEFAULT_CREDITS, since, onGap, onEnded } = settings;
    if (credits.messages < 1 || credits.bytes < 1n) {
      throw new InvalidArgument(`credits of ${credits.messages} messages and ${credits.bytes} bytes let nothing in`);
    }
    this.credit = new CreditAccount(credits);
    this.position = new SubscriptionPosition(since, {
      gap: (gap) => onGap && reports.call(() => onGap(gap)),
      ended: (ended) => onEnded && reports.call(() => onEnded(ended)),
    });
  }

  /** Whether its messages come by an id of its own. */
  get isView(): boolean {
    return this.settings.view !== undefined || this.settings.lower !== undefined;
  }

  /** Report an error of this subscription. */
  report(error: Error): void {
    this.#reports.report(error, this.settings.onError);
  }

  /**
   * Take a message that has arrived.
   *
   * @param first index of the first record that the subscription has not had.
   */
  deliver(received: Received, first: number, pending: PendingAck | undefined, credit: TakenCredit | undefined): void {
    const { source, count } = received;
    const isState = source.kind === "state";
    const conflates = this.settings.latest || (isState && this.settings.conflate);
    // Then the last record of a batch is the only one that waits.
    const start = conflates ? count - 1 : first;
    this.#countConflated(source, start - first);
    const frees = pending === undefined;
    if (this.buffer.over) {
      this.credit.free(credit);
      pending?.answer(this, undefined);
      return;
    }
    pending?.wait(this);
    if (pending) {
      this.#held.set(pending, { waiting: true, messages: [] });
    }
    const arrivedMs = this.#clock.nowMs();
    const waiting: Waiting = { received, first: start, pending, credit, arrivedMs, afterConflated: start > first };
    const replaced = this.buffer.add(waiting, conflates);
    if (replaced) {
      this.#countConflated(source, replaced.received.count - replaced.first);
      if (frees) {
        this.credit.free(replaced.credit);
      }
      replaced.pending?.answer(this, 0);
      this.#settled(replaced);
    }
  }

  #countConflated({ name, kind }: Source, count: number): void {
    this.conflatedCount += BigInt(count);
    // Events that `latest` leaves out are no versions of a state: the gateway is not told.
    if (count && kind === "state") {
      this.#conflated.set(name, (this.#conflated.get(name) ?? 0n) + BigInt(count));
    }
  }

  /** Streams of which versions were conflated since the last report. */
  get unreported(): ReadonlyMap<string, bigint> {
    return this.#conflated;
  }

  /** Take note that the conflated versions of a stream are reported. */
  reportedConflated(stream: string): void {
    this.#conflated.delete(stream);
  }

  /** Free the credit of a message that the subscription does not get. */
  leftOut(credit: TakenCredit | undefined): void {
    this.credit.free(credit);
  }

  // The program.

  /** Return the next message, after the one before is finished; undefined: the subscription has ended. */
  nextMessage(): Promise<Message | undefined> {
    return this.#inTurn(async () => {
      this.finish();
      const current = this.#current ?? (await this.#nextWaiting());
      return current && this.#record(current);
    });
  }

  /** Take for one call after the other: a program may ask again before it has the message for which it has asked. */
  async #inTurn<T>(take: () => Promise<T>): Promise<T> {
    const taking = this.#taking ? this.#taking.then(take, take) : take();
    this.#taking = taking;
    try {
      return await taking;
    } finally {
      if (this.#taking === taking) {
        this.#taking = undefined;
      }
    }
  }

  /** Return the next message if one waits. */
  takeMessage(): Message | undefined {
    this.finish();
    const current = this.#current ?? this.#begin(this.buffer.take());
    return current && this.#record(current);
  }

  /** Return the next record batch; messages that are none are left out. */
  nextBatch(): Promise<RecordBatch | undefined> {
    return this.#inTurn(() => this.#nextBatch());
  }

  async #nextBatch(): Promise<RecordBatch | undefined> {
    for (;;) {
      this.finish();
      const current = this.#current ?? (await this.#nextWaiting());
      if (!current) {
        return undefined;
      }
      const { waiting, next } = current;
      current.next = waiting.received.count;
      if (waiting.received.arrival.specs.length === 1) {
        const batch = new RecordBatch(waiting.received, next, this.#handleOf(waiting, waiting.received.count - next));
        this.#hold(waiting, batch);
        return batch;
      }
      const { source, arrival } = waiting.received;
      this.report(
        new InvalidArgument(
          `message ${arrival.offset} of ${source.name} has ${arrival.specs.length} tensors and is no record: iterate messages`,
        ),
      );
      waiting.pending?.answer(this, 0);
    }
  }

  async #nextWaiting(): Promise<{ waiting: Waiting; next: number } | undefined> {
    return this.#begin(await this.buffer.next());
  }

  #begin(waiting: Waiting | undefined): { waiting: Waiting; next: number } | undefined {
    if (waiting && !waiting.pending) {
      this.credit.free(waiting.credit);
    }
    // One that was handed over in the turn in which the program ended the subscription is not called back with.
    this.#current = waiting && !this.#isDropped ? { waiting, next: waiting.first } : undefined;
    return this.#current;
  }

  #record(current: { waiting: Waiting; next: number }): Message {
    const { waiting } = current;
    const record = current.next++;
    const message = new Message(waiting.received, record, this.#handleOf(waiting, 1), !waiting.afterConflated);
    this.#hold(waiting, message);
    return message;
  }

  /** Finish the message that the program is at: with `autoAck` it is processed. */
  finish(answers = this.settings.autoAck): void {
    const current = this.#current;
    if (current && current.next >= current.waiting.received.count) {
      this.#current = undefined;
      if (answers) {
        current.waiting.pending?.answer(this, 0);
        this.#settled(current.waiting);
      }
    }
  }

  /** Refuse the message that the program is at: its callback has failed. */
  refuse(): void {
    this.#current?.waiting.pending?.answer(this, Code.NOT_PROCESSED);
  }

  readonly #openRecords = new WeakMap<Waiting, number>();

  #handleOf(waiting: Waiting, records: number): AnswerHandle | undefined {
    const { pending } = waiting;
    if (!pending) {
      return undefined;
    }
    let answered = false;
    return {
      subscription: this.handle?.deref(),
      answer: (code) => {
        if (answered) {
          return;
        }
        answered = true;
        const open = (this.#openRecords.get(waiting) ?? waiting.received.count - waiting.first) - records;
        this.#openRecords.set(waiting, open);
        if (code || open <= 0) {
          pending.answer(this, code);
          this.#settled(waiting);
        }
      },
      inProgress: () => pending.inProgress(),
    };
  }

  #hold({ pending }: Waiting, message: object): void {
    const held = pending && this.#held.get(pending);
    if (held) {
      held.waiting = false;
      held.messages.push(new WeakRef(message));
    }
  }

  /** Take note that a message owes nothing any more: its credit is free. */
  #settled({ pending, credit }: Waiting): void {
    if (pending && this.#held.delete(pending)) {
      this.credit.free(credit);
    }
  }

  holds(pending: PendingAck): boolean {
    const held = this.#held.get(pending);
    const isCurrent = this.#current?.waiting.pending === pending;
    return held !== undefined && (held.waiting || isCurrent || held.messages.some((each) => each.deref()));
  }

  drop(pending: PendingAck): void {
    this.#held.delete(pending);
  }

  /**
   * Give up all messages without an answer: the program has ended the subscription.
   *
   * A loop still gets what has arrived; a callback is called no more.
   */
  withdraw(): void {
    for (const pending of this.#held.keys()) {
      pending.answer(this, undefined);
    }
    this.#held.clear();
    if (this.isCalledBack) {
      this.#isDropped = true;
      this.#current = undefined;
      this.buffer.clear();
    }
  }

  /** Return whether messages of a kind owe an answer here. */
  answers(kind: "state" | "event" | "collaboration" | "control"): boolean {
    return isAcknowledged(kind) && !this.settings.observe;
  }
}
