/** Clock that a test moves, and wires whose far side a test plays: clients without sockets or waiting. */

import { ClientParts } from "../src/client_parts.ts";
import type { ClientOptions } from "../src/options.ts";
import { bytesOf, joined } from "../src/protocol/buffers.ts";
import { type DataFrame, parseData } from "../src/protocol/data.ts";
import { bodyOf, iterFrames } from "../src/protocol/frames.ts";
import type { SessionMessage, StreamInfo, Welcome } from "../src/protocol/messages.ts";
import { parseSession } from "../src/protocol/session_body.ts";
import { parseSignal, type Signal } from "../src/protocol/signals.ts";
import { type Chunk, parseChunk } from "../src/protocol/transfers.ts";
import { isData, isJson, Opcode } from "../src/protocol/wire.ts";
import type { Clock, Timer } from "../src/session/clock.ts";
import type { Arrival, Inbound, Resumable, Wire, WireEvents, Wires } from "../src/session/wire.ts";

interface Due {
  readonly atMs: number;
  readonly callback: () => void;
}

/** Clock that stands until a test moves it. */
export class FakeClock implements Clock {
  ms = 0;
  drawn = 0.5;
  #timers: Due[] = [];

  nowMs(): number {
    return this.ms;
  }

  localNs(): bigint {
    return 1_770_000_000_000_000_000n + BigInt(Math.round(this.ms * 1e6));
  }

  random(): number {
    return this.drawn;
  }

  after(delayMs: number, callback: () => void): Timer {
    const due = { atMs: this.ms + delayMs, callback };
    this.#timers.push(due);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== due);
      },
    };
  }

  /** Number of timers that are set. */
  get timers(): number {
    return this.#timers.length;
  }

  /** Move on, and let timers fire in their order; promises settle between them. */
  async pass(ms: number): Promise<void> {
    const end = this.ms + ms;
    for (;;) {
      await settled();
      const [next] = this.#timers.filter(({ atMs }) => atMs <= end).sort((a, b) => a.atMs - b.atMs);
      if (!next) {
        break;
      }
      this.#timers = this.#timers.filter((other) => other !== next);
      this.ms = Math.max(this.ms, next.atMs);
      next.callback();
    }
    this.ms = end;
    await settled();
  }
}

/** Let everything happen that waits for promises only. */
export async function settled(): Promise<void> {
  for (let turns = 0; turns < 30; turns++) {
    await Promise.resolve();
  }
}

/** Frame that a client has sent. */
export type Sent = SessionMessage | Signal | DataFrame | (Chunk & { readonly opcode: typeof Opcode.CHUNK });

type SentOf<O, S = Sent> = S extends { opcode: infer P } ? (O extends P ? S : never) : never;

/** One connection, whose far side a test plays. */
export class FakeWire implements Wire {
  readonly url: string;
  readonly events: WireEvents;
  /** WebSocket messages that were sent. */
  readonly messages: Uint8Array[] = [];
  unsentBytes = 0;
  /** Bytes that it takes before it is congested. */
  roomBytes = Number.POSITIVE_INFINITY;
  closedBy: number | undefined;

  constructor(url: string, events: WireEvents) {
    this.url = url;
    this.events = events;
  }

  send(frames: readonly Uint8Array[]): void {
    if (bytesOf(frames)) {
      this.messages.push(joined(frames));
      this.roomBytes -= bytesOf(frames);
      this.unsentBytes = this.roomBytes < 0 ? 2_000_000 : this.unsentBytes;
    }
  }

  close(code: number): void {
    this.closedBy = code;
  }

  abort(code: number, reason: string): void {
    this.lose(code, reason);
  }

  /** Frames that were sent since the last call, in order. */
  taken(): Sent[] {
    return this.messages.splice(0).flatMap((message) => [...iterFrames(message)].map((frame) => read(message, frame)));
  }

  /** Frames of an opcode that were sent since the last call. */
  takenOf<O extends Sent["opcode"]>(opcode: O): SentOf<O>[] {
    return this.taken().filter((sent) => sent.opcode === opcode) as SentOf<O>[];
  }

  /** Take all that is sent from now on. */
  drain(): void {
    this.roomBytes = Number.POSITIVE_INFINITY;
    this.unsentBytes = 0;
    this.events.drained();
  }

  receive(...items: Inbound[]): void {
    this.events.received(items);
  }

  lose(code = 1006, reason = "lost", resumable: Resumable = {}): void {
    this.events.closed({ code, reason, resumable });
  }
}

function read(message: Uint8Array, frame: Parameters<typeof parseData>[1]): Sent {
  if (isData(frame.opcode)) {
    return parseData(message, frame);
  }
  if (isJson(frame.opcode)) {
    return parseSession(frame.opcode, bodyOf(message, frame));
  }
  return frame.opcode === Opcode.CHUNK
    ? { ...parseChunk(message, frame), opcode: Opcode.CHUNK }
    : parseSignal(message, frame);
}

export class FakeWires implements Wires {
  readonly wires: FakeWire[] = [];
  readonly forgotten: string[] = [];

  connect(url: string, events: WireEvents): FakeWire {
    const wire = new FakeWire(url, events);
    this.wires.push(wire);
    return wire;
  }

  forget(streams: readonly string[]): void {
    this.forgotten.push(...streams);
  }

  get newest(): FakeWire {
    return this.wires[this.wires.length - 1];
  }
}

export const WELCOME: Welcome = {
  opcode: Opcode.WELCOME,
  version: 1,
  client_id: "me",
  session: "s",
  peer: 17,
  codecs: ["lz4"],
  filters: ["shuffle", "patch"],
  limits: {
    max_frame_bytes: 8 * 1024 * 1024,
    max_message_bytes: 64 * 1024 * 1024,
    chunk_bytes: 64 * 1024,
    max_unfinished_bytes: 1024 * 1024 * 1024,
    max_aliases: 4096,
  },
  heartbeat_interval_s: 20,
  time_ns: 1_770_000_000_000_000_000n,
  agent: "",
  generation: 5,
  credits: true,
};

/** Client whose gateway a test plays. */
export class Stage {
  readonly clock = new FakeClock();
  readonly wires = new FakeWires();
  readonly errors: Error[] = [];
  readonly parts: ClientParts;
  readonly opening: Promise<unknown>;

  constructor(options: ClientOptions = {}, url = "ws://gateway") {
    const { clock, wires, errors } = this;
    this.parts = new ClientParts(url, { clock, onError: (error) => errors.push(error), ...options }, wires);
    this.opening = this.parts.connection.open();
    this.opening.catch(() => undefined);
  }

  get wire(): FakeWire {
    return this.wires.newest;
  }

  /** Open the newest connection, answer its HELLO, and load all code of the client. */
  async welcome(changes: Partial<Welcome> = {}): Promise<FakeWire> {
    await this.greet(changes);
    await this.loaded();
    return this.wire;
  }

  /** Open the newest connection, and answer its HELLO. */
  async greet(changes: Partial<Welcome> = {}): Promise<FakeWire> {
    await settled();
    this.wire.events.opened();
    await settled();
    this.wire.receive({ ...WELCOME, ...changes });
    await settled();
    return this.wire;
  }

  /** Load all parts of the client, which would take longer than the promises for which {@link settled} waits. */
  async loaded(): Promise<void> {
    const { sending, requests, presences, inquiries, load, subscriptions } = this.parts;
    const parts = [sending, requests, presences, inquiries, load, subscriptions.views].map((part) => part.load());
    await Promise.all([...parts, subscriptions.sinks.mayAcknowledge()]);
    await settled();
  }

  /** Lose the connection, and open the next one. */
  async again(resumable: Resumable = {}): Promise<FakeWire> {
    this.wire.lose(1006, "lost", resumable);
    await this.clock.pass(30_000);
    return this.welcome();
  }
}

/** Return a client with a connection that stands. */
export async function staged(options: ClientOptions = {}): Promise<Stage> {
  const stage = new Stage(options);
  await stage.welcome();
  stage.wire.taken();
  return stage;
}

export function streamInfo(fields: Partial<StreamInfo>): StreamInfo {
  return { opcode: Opcode.STREAM, id: 7, stream: "wf/a", kind: "event", epoch: 1, offset: 0n, ...fields };
}

/** Return a message of bytes as it arrives. */
export function arrival(fields: Partial<Arrival> = {}): Arrival {
  const payload = fields.payload ?? Uint8Array.of(1, 2);
  return {
    opcode: Opcode.MESSAGE,
    flags: 0,
    stream: 7,
    publisher: 3,
    offset: 0n,
    timestamp_ns: 1_770_000_000_000_000_000n,
    specs: [{ name: "", dtype: "uint8", shape: [payload.byteLength / (fields.count ?? 1)] }],
    headers: null,
    payload,
    arrived_ns: 1_770_000_000_500_000_000n,
    ...fields,
  };
}
