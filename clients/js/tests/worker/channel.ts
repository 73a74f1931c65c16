/** A page and a worker joined by a real channel: what crosses it is cloned or transferred, as between threads. */

import { MessageChannel } from "node:worker_threads";
import { SYSTEM_CLOCK } from "../../src/session/clock.ts";
import type { Wire, WireEvents, Wires } from "../../src/session/wire.ts";
import type { WorkerLike } from "../../src/worker/start.ts";
import { WireHost } from "../../src/worker/wire_host.ts";
import { WorkerWires } from "../../src/worker/worker_wires.ts";

/** Connection that keeps what it is asked to do. */
export class RecordedWire implements Wire {
  unsentBytes = 0;
  readonly sent: Uint8Array[] = [];
  readonly ended: string[] = [];
  readonly url: string;
  readonly events: WireEvents;

  constructor(url: string, events: WireEvents) {
    this.url = url;
    this.events = events;
  }

  send(frames: readonly Uint8Array[]): void {
    this.sent.push(...frames);
  }

  close(code: number, reason: string): void {
    this.ended.push(`close ${code} ${reason}`);
  }

  abort(code: number, reason: string): void {
    this.ended.push(`abort ${code} ${reason}`);
    this.events.closed({ code, reason, resumable: {} });
  }
}

/** Source of such connections. */
export class RecordedWires implements Wires {
  readonly made: RecordedWire[] = [];
  readonly forgotten: string[] = [];
  maxMessageBytes: number | undefined;

  connect(url: string, events: WireEvents): Wire {
    const wire = new RecordedWire(url, events);
    this.made.push(wire);
    return wire;
  }

  forget(streams: readonly string[]): void {
    this.forgotten.push(...streams);
  }
}

/** Near side, and what the far side is asked to do. */
export interface Joined {
  readonly wires: WorkerWires;
  readonly far: RecordedWires;
  /** Return once everything that was posted so far, both ways, was received. */
  settle(): Promise<void>;
  /** Report a failure of the worker. */
  fail(message: string): void;
  /** Number of workers that were started, and of those that were ended. */
  readonly counts: { started: number; ended: number };
}

/** Return both ends of a channel. */
export function joinedByChannel(maxMessageBytes?: number): Joined {
  const far = new RecordedWires();
  const counts = { started: 0, ended: 0 };
  let worker: WorkerLike | undefined;
  const start = () => {
    counts.started++;
    const { port1, port2 } = new MessageChannel();
    port1.unref();
    port2.unref();
    const host = new WireHost(port2, SYSTEM_CLOCK, (limit) => {
      far.maxMessageBytes = limit;
      return far;
    });
    port2.on("message", (order) => host.receive(order));
    const made: WorkerLike = {
      onmessage: null,
      onerror: null,
      onmessageerror: null,
      postMessage: (message, transfer) => port1.postMessage(message, transfer as ArrayBuffer[]),
      terminate: () => {
        counts.ended++;
        port1.close();
      },
    };
    port1.on("message", (data) => made.onmessage?.({ data } as MessageEvent));
    worker = made;
    return made;
  };
  return {
    wires: new WorkerWires(maxMessageBytes, start),
    far,
    counts,
    settle: async () => {
      for (let turn = 0; turn < 4; turn++) {
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    fail: (message) => worker?.onerror?.({ message } as ErrorEvent),
  };
}

/** Callbacks that keep a line for each event. */
export function recordedEvents(): { readonly events: WireEvents; readonly seen: string[]; readonly items: unknown[] } {
  const seen: string[] = [];
  const items: unknown[] = [];
  const events: WireEvents = {
    opened: () => seen.push("opened"),
    received: (found) => {
      seen.push(`received ${found.length}`);
      items.push(...found);
    },
    drained: () => seen.push("drained"),
    closed: ({ code, reason }) => seen.push(`closed ${code} ${reason}`),
  };
  return { events, seen, items };
}
