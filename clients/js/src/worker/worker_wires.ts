/** Near side of the wires whose sockets and decoder are in a worker. */

import { Code } from "../errors.ts";
import { bytesOf, joined } from "../protocol/buffers.ts";
import { type Clock, SYSTEM_CLOCK } from "../session/clock.ts";
import { TimeLimit } from "../session/time_limit.ts";
import { HIGH_WATER_BYTES, LOW_WATER_BYTES, type Wire, type WireEvents, type Wires } from "../session/wire.ts";
import type { Order, Report } from "./posts.ts";
import { startWorker, type WorkerLike } from "./start.ts";

const ADVICE = "let the page's policy allow it (worker-src), or connect with worker: false";

/** Time in which a worker ends a connection when it is told to; one that is slower may have died, or never have started. */
const MOST_ENDING_MS = 2000;

export class WorkerWires implements Wires {
  readonly #start: () => WorkerLike;
  readonly #maxMessageBytes: number | undefined;
  readonly #wires = new Map<number, WorkerWire>();
  readonly #clock: Clock;
  #worker: WorkerLike | undefined;
  #nextWire = 1;

  constructor(maxMessageBytes?: number, start: () => WorkerLike = startWorker, clock: Clock = SYSTEM_CLOCK) {
    this.#maxMessageBytes = maxMessageBytes;
    this.#start = start;
    this.#clock = clock;
  }

  connect(url: string, events: WireEvents): Wire {
    const number = this.#nextWire++;
    const wire = new WorkerWire(number, events, this.#clock, {
      post: (order, transfer) => this.#post(order, transfer),
      silent: (code, reason) => this.#lose(code, `${reason}; the worker does not answer`),
    });
    this.#wires.set(number, wire);
    try {
      this.#worker ??= this.#started();
      this.#post({ order: "connect", wire: number, url });
    } catch (error) {
      queueMicrotask(() => this.#failed(`the worker cannot be started: ${error}; ${ADVICE}`));
    }
    return wire;
  }

  forget(streams: readonly string[]): void {
    this.#post({ order: "forget", streams });
  }

  /** End the worker; the client does not connect any more. */
  end(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
  }

  #post(order: Order, transfer: Transferable[] = []): void {
    this.#worker?.postMessage(order, transfer);
  }

  #started(): WorkerLike {
    const worker = this.#start();
    worker.onmessage = ({ data }: MessageEvent<Report>) => this.#received(data);
    worker.onerror = ({ message }) =>
      this.#failed(message ? `the worker has failed: ${message}` : `the worker cannot be started; ${ADVICE}`);
    worker.onmessageerror = () => this.#failed("a message of the worker cannot be read");
    worker.postMessage({ order: "begin", maxMessageBytes: this.#maxMessageBytes } satisfies Order, []);
    return worker;
  }

  #received(report: Report): void {
    const wire = this.#wires.get(report.wire);
    if (report.report === "closed") {
      this.#wires.delete(report.wire);
    }
    wire?.receive(report);
  }

  #failed(reason: string): void {
    this.#lose(Code.PROTOCOL_ERROR, reason); // no other attempt would do better
  }

  /** End the worker, and close what it has held; another connection starts another one. */
  #lose(code: number, reason: string): void {
    this.end();
    const wires = [...this.#wires.values()];
    this.#wires.clear();
    for (const wire of wires) {
      wire.lose(code, reason);
    }
  }
}

/** Way of one connection to the worker. */
interface WorkerOutlet {
  post(order: Order, transfer?: Transferable[]): void;
  /** The worker has not ended the connection in time. */
  silent(code: number, reason: string): void;
}

class WorkerWire implements Wire {
  readonly #number: number;
  readonly #events: WireEvents;
  readonly #clock: Clock;
  readonly #outlet: WorkerOutlet;
  /** Time in which the worker has to end the connection. */
  #ending: TimeLimit | undefined;
  /** Bytes sent on this connection, and those of them that have left the worker, as far as known. */
  #sent = 0;
  #left = 0;
  /** Value of `#sent` at the question that the worker has not answered yet. */
  #asked: number | undefined;
  #congested = false;

  constructor(number: number, events: WireEvents, clock: Clock, outlet: WorkerOutlet) {
    this.#number = number;
    this.#events = events;
    this.#clock = clock;
    this.#outlet = outlet;
  }

  get unsentBytes(): number {
    return this.#sent - this.#left;
  }

  send(frames: readonly Uint8Array[]): void {
    const message = joined(frames);
    this.#sent += bytesOf(frames);
    this.#outlet.post({ order: "send", wire: this.#number, message }, [message.buffer]);
    this.#congested ||= this.unsentBytes > HIGH_WATER_BYTES;
    this.#ask();
  }

  close(code: number, reason: string): void {
    this.#outlet.post({ order: "close", wire: this.#number, code, reason });
  }

  abort(code: number, reason: string): void {
    this.#outlet.post({ order: "abort", wire: this.#number, code, reason });
    this.#ending ??= new TimeLimit(this.#clock, MOST_ENDING_MS, () => this.#outlet.silent(code, reason));
  }

  /** Take note that the worker, and with it the connection, is gone. */
  lose(code: number, reason: string): void {
    this.receive({ report: "closed", wire: this.#number, closed: { code, reason, resumable: {} } });
  }

  /** Take an event of this connection. */
  receive(report: Report): void {
    switch (report.report) {
      case "received":
        this.#events.received(report.items);
        break;
      case "opened":
        this.#events.opened();
        break;
      case "drained":
        this.#drained();
        break;
      default:
        this.#ending?.stop();
        this.#events.closed(report.closed);
    }
  }

  /** Ask when the bytes so far have left, so that they do not count for ever. */
  #ask(): void {
    if (this.#asked === undefined && this.unsentBytes > LOW_WATER_BYTES) {
      this.#asked = this.#sent;
      this.#outlet.post({ order: "drain", wire: this.#number });
    }
  }

  #drained(): void {
    this.#left = this.#asked ?? this.#sent;
    this.#asked = undefined;
    this.#ask();
    if (this.#congested && this.unsentBytes <= HIGH_WATER_BYTES) {
      this.#congested = false;
      this.#events.drained();
    }
  }
}
