/** Sinks of the present connection: what the gateway sends, to the subscriptions that receive it. */

import { RequestRefused } from "../errors.ts";
import { LazyPart } from "../lazy_part.ts";
import { Received } from "../messages/received.ts";
import { isAcknowledged } from "../protocol/account.ts";
import type { StreamInfo } from "../protocol/messages.ts";
import type { OffsetRange } from "../protocol/signals.ts";
import { type DataOpcode, Opcode } from "../protocol/wire.ts";
import type { Connection } from "../session/connection.ts";
import type { Session } from "../session/session.ts";
import type { Arrival, Failure, Head, Inbound } from "../session/wire.ts";
import type { DuplicateFilter, DuplicateFilters } from "./duplicate_filter.ts";
import { StreamSink, type Taken } from "./stream_sink.ts";
import type { SubscriptionCore } from "./subscription_core.ts";
import type { Views } from "./subscriptions.ts";

const NO_CREDIT: Taken = new Map();

export class StreamSinks {
  readonly #connection: Connection;
  readonly #views: LazyPart<Views>;
  readonly #all: () => Iterable<SubscriptionCore>;
  readonly #sinks = new Map<number, StreamSink>();
  /** Ids of acknowledged streams by name and epoch. */
  readonly #ids = new Map<string, number>();
  readonly #filters: LazyPart<DuplicateFilters>;
  /** Credit that large messages on their way have taken, by transfer. */
  readonly #transfers = new Map<number, Taken>();

  /**
   * @param all returns the subscriptions that are open.
   * @param views functions for views, loaded by the first subscription that has one.
   */
  constructor(connection: Connection, all: () => Iterable<SubscriptionCore>, views: LazyPart<Views>) {
    this.#views = views;
    this.#connection = connection;
    this.#all = all;
    const idOf = (stream: string, epoch: number): number | undefined => this.#ids.get(`${epoch} ${stream}`);
    this.#filters = new LazyPart(connection, "acknowledge messages", async () => {
      const { filtersFor } = await import("./duplicate_filter.ts");
      return filtersFor({
        get session() {
          return connection.session;
        },
        idOf,
      });
    });
  }

  /**
   * Load what a subscription that does not only observe needs.
   *
   * @throws ConnectionFailed as {@link LazyPart.load}.
   */
  async mayAcknowledge(): Promise<void> {
    await this.#filters.load();
  }

  /** Send acknowledgements now. */
  flush(): void {
    this.#filters.loaded?.flush();
  }

  /** Report the messages of acknowledged streams that the program still has (spec section 7.8). */
  reportHeld(): void {
    this.#filters.loaded?.reportHeld();
  }

  /** Tell the gateway how many versions of states were conflated (spec section 7.9). */
  reportConflated(session: Session): void {
    const cores = [...this.#all()];
    if (!cores.some((core) => core.unreported.size)) {
      return;
    }
    for (const sink of this.#sinks.values()) {
      const receiving = [...sink.subscriptions];
      const pending = receiving.filter((core) => core.unreported.has(sink.name));
      const isKnown = cores.every(
        (core) => sink.isNamed || !sink.wants(core, undefined) || core.position.idOf(sink.name) === sink.id,
      );
      if (pending.length && isKnown) {
        const count = pending.reduce((sum, core) => sum + (core.unreported.get(sink.name) ?? 0n), 0n);
        session.signal({ opcode: Opcode.CONFLATED, stream: sink.id, count });
        for (const core of receiving) {
          core.position.recordConflated(sink.name, count);
          core.reportedConflated(sink.name);
        }
      }
    }
  }

  /** Forget the ids of a session that has ended. */
  detached(): void {
    this.#sinks.clear();
    this.#ids.clear();
    this.#transfers.clear();
  }

  /** Take a subscription out of all sinks; returns the streams that no subscription receives any more. */
  leave(core: SubscriptionCore): string[] {
    const left: string[] = [];
    for (const sink of this.#sinks.values()) {
      if (sink.subscriptions.delete(core) && !sink.subscriptions.size && !sink.isNamed) {
        left.push(sink.name);
      }
    }
    return left;
  }

  /** Forget all that is kept of streams that have ended without a connection. */
  forget(streams: readonly string[]): void {
    for (const stream of streams) {
      this.#filters.loaded?.end(stream);
    }
  }

  /** Handle a frame; returns whether it was for subscriptions. */
  received(item: Inbound): boolean {
    switch (item.opcode) {
      case Opcode.MESSAGE:
      case Opcode.BATCH:
        this.#arrived(item);
        return true;
      case Opcode.STREAM:
        return this.#streamReceived(item);
      case Opcode.ABORT:
        this.#release(this.#taken(item.transfer));
        return true;
      case Opcode.GAP:
        this.#gapReceived(item);
        return true;
      case Opcode.REPLAY:
        this.#replayReceived(item);
        return true;
      case "head":
        return isMessage(item.of) && this.#headReceived(item);
      case "failure":
        return isMessage(item.of) && this.#failed(item);
      default:
        return false;
    }
  }

  /** Handle STREAM, which gives a stream its id, or tells its end. */
  #streamReceived(info: StreamInfo): boolean {
    const { id, subscription } = info;
    if (id === null || info.alias !== undefined) {
      return false;
    }
    if (info.ended !== undefined) {
      this.#ended(id, info.ended);
      return true;
    }
    let sink = this.#sinks.get(id);
    if (!sink || sink.epoch !== info.epoch) {
      sink = new StreamSink(info, this.#filterOf(info));
      this.#sinks.set(id, sink);
      if (sink.filter) {
        this.#ids.set(`${sink.epoch} ${sink.name}`, id);
      }
    }
    for (const core of this.#all()) {
      // Acknowledged messages come once, for all subscriptions that match.
      if (sink.wants(core, subscription) && (core.position.joined || sink.filter)) {
        if (core.position.joined) {
          this.#giveWay(core, sink, info);
          core.position.announce(info);
        }
        sink.subscriptions.add(core);
      }
    }
    return true;
  }

  /** Take a subscription off the view in whose place another one comes. */
  #giveWay(core: SubscriptionCore, sink: StreamSink, info: StreamInfo): void {
    const before = info.lowered === undefined ? undefined : core.position.idOf(sink.name);
    if (before !== undefined && before !== sink.id) {
      this.#sinks.get(before)?.subscriptions.delete(core);
    }
  }

  #filterOf({ kind, observed, stream, epoch = 0 }: StreamInfo): DuplicateFilter | undefined {
    return kind && isAcknowledged(kind) && !observed ? this.#filters.loaded?.of(stream, epoch) : undefined;
  }

  #ended(id: number, reason: string): void {
    const sink = this.#sinks.get(id);
    if (!sink) {
      return;
    }
    this.#sinks.delete(id);
    if (sink.filter) {
      this.#ids.delete(`${sink.epoch} ${sink.name}`);
      this.#filters.loaded?.end(sink.name, sink.epoch);
    }
    for (const core of sink.subscriptions) {
      core.position.end({ stream: sink.name, epoch: sink.epoch, reason }, id);
    }
  }

  /** Handle the head of a large message, which takes credit. */
  #headReceived({ stream, transfer, payload_bytes: bytes }: Head): boolean {
    const sink = this.#sinks.get(stream);
    if (sink) {
      this.#transfers.set(transfer, sink.take(bytes));
    }
    return true;
  }

  #taken(transfer: number | undefined): Taken | undefined {
    const found = transfer === undefined ? undefined : this.#transfers.get(transfer);
    if (transfer !== undefined) {
      this.#transfers.delete(transfer);
    }
    return found;
  }

  #release(taken: Taken | undefined): void {
    for (const [core, credit] of taken ?? NO_CREDIT) {
      core.leftOut(credit);
    }
  }

  #arrived(arrival: Arrival): void {
    const sink = this.#sinks.get(arrival.stream);
    const { transfer, patch, payload } = arrival;
    if (!sink) {
      this.#release(this.#taken(transfer));
      return;
    }
    const taken = this.#taken(transfer) ?? sink.take(patch?.payload.byteLength ?? payload.byteLength);
    sink.refreshing = false;
    const arrivedNs = this.#connection.session?.clock.atGateway(arrival.arrived_ns) ?? arrival.arrived_ns;
    const received = new Received(sink, arrival, arrivedNs, this.#views.loaded?.dequantize);
    if (sink.filter) {
      sink.filter.deliver(sink, received, taken);
      return;
    }
    const { count } = received;
    for (const core of sink.subscriptions) {
      const kind = sink.observed ? "event" : sink.kind;
      const had = core.position.recordArrival(sink.name, kind, sink.epoch, arrival.offset, count);
      if (had < count) {
        core.deliver(received, had, undefined, taken.get(core));
      } else {
        core.leftOut(taken.get(core));
      }
    }
  }

  /** Handle a message that cannot be read. */
  #failed(failure: Failure): boolean {
    const sink = this.#sinks.get(failure.stream);
    const { transfer, offset, count, code, problem, declared_bytes: bytes } = failure;
    if (!sink) {
      this.#release(this.#taken(transfer));
      return true;
    }
    this.#release(this.#taken(transfer) ?? sink.take(bytes));
    const again = failure.needs_keyframe;
    if (again && !sink.refreshing) {
      sink.refreshing = true;
      this.#connection.session?.tell({ opcode: Opcode.REFRESH, stream: sink.id });
    }
    sink.filter?.refuse(sink.epoch, offset, count, code);
    for (const core of sink.subscriptions) {
      if (core.position.recordFailure(sink.name, sink.epoch, offset, count, again)) {
        core.report(new RequestRefused(code, `message ${offset} of ${sink.name} was left out: ${problem}`));
      }
    }
    return true;
  }

  #gapReceived({ stream, code, first, last }: OffsetRange): void {
    const sink = this.#sinks.get(stream);
    if (sink) {
      sink.filter?.skip(sink.epoch, first, last);
      for (const core of sink.subscriptions) {
        core.position.skip({ stream: sink.name, code, first, last }, sink.epoch);
      }
    }
  }

  #replayReceived({ stream, first, last }: OffsetRange): void {
    const sink = this.#sinks.get(stream);
    for (const core of sink?.subscriptions ?? []) {
      core.position.replay(sink?.name ?? "", first, last);
    }
  }
}

/** Return whether an opcode is that of messages to subscriptions, and not of requests. */
function isMessage(opcode: DataOpcode | undefined): boolean {
  return opcode === Opcode.MESSAGE || opcode === Opcode.BATCH;
}
