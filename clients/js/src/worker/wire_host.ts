/** Far side of the wires of a page: sockets and decoding, in a worker. */

import type { Clock } from "../session/clock.ts";
import { type Inbound, LOW_WATER_BYTES, type Wire, type Wires } from "../session/wire.ts";
import type { Order, Report } from "./posts.ts";

/** Time between two looks at what a socket has not sent yet. */
const LOOK_MS = 4;

/** The part of a worker's scope that takes events to the page. */
export interface PagePort {
  postMessage(report: Report, transfer: ArrayBuffer[]): void;
}

export class WireHost {
  readonly #port: PagePort;
  readonly #clock: Clock;
  readonly #makeWires: (maxMessageBytes: number | undefined) => Wires;
  readonly #wires = new Map<number, Wire>();
  #source: Wires | undefined;

  /**
   * @param makeWires returns the source of connections, whose payloads the page takes.
   */
  constructor(port: PagePort, clock: Clock, makeWires: (maxMessageBytes: number | undefined) => Wires) {
    this.#port = port;
    this.#clock = clock;
    this.#makeWires = makeWires;
  }

  /** Carry out an order of the page; one for a connection that has ended is left out. */
  receive(order: Order): void {
    switch (order.order) {
      case "begin":
        this.#source = this.#makeWires(order.maxMessageBytes);
        break;
      case "connect":
        this.#connect(order.wire, order.url);
        break;
      case "forget":
        this.#source?.forget(order.streams);
        break;
      case "send":
        this.#wires.get(order.wire)?.send([order.message]);
        break;
      case "drain":
        this.#drain(order.wire);
        break;
      default:
        this.#wires.get(order.wire)?.[order.order](order.code, order.reason);
    }
  }

  #connect(wire: number, url: string): void {
    const made = this.#source?.connect(url, {
      opened: () => this.#post({ report: "opened", wire }),
      received: (items) => this.#post({ report: "received", wire, items }, buffersOf(items)),
      drained: () => undefined,
      closed: (closed) => {
        this.#wires.delete(wire);
        this.#post({ report: "closed", wire, closed });
      },
    });
    if (made) {
      this.#wires.set(wire, made);
    }
  }

  #drain(wire: number): void {
    const found = this.#wires.get(wire);
    if (found && found.unsentBytes > LOW_WATER_BYTES) {
      this.#clock.after(LOOK_MS, () => this.#drain(wire));
    } else if (found) {
      this.#post({ report: "drained", wire });
    }
  }

  #post(report: Report, transfer: ArrayBuffer[] = []): void {
    this.#port.postMessage(report, transfer);
  }
}

/**
 * Return the buffers that go to the page, each once: a WebSocket message is one buffer, whatever the number of its payloads,
 * and the page gets views of it.
 */
export function buffersOf(items: readonly Inbound[]): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const item of items) {
    if ("payload" in item) {
      buffers.add(item.payload.buffer as ArrayBuffer);
      if (item.patch) {
        buffers.add(item.patch.payload.buffer as ArrayBuffer);
      }
    }
  }
  return [...buffers];
}
