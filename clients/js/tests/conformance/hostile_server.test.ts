/**
 * A gateway that is hostile sends mutated vectors to a whole client: it closes, connects again or reports a documented
 * error, throws nothing else, and takes no more memory than is allowed.
 *
 * `HOSTILE_SECONDS` makes it go on for so long, `HOSTILE_SEED` repeats a run.
 */

import { afterEach, expect, test, vi } from "vitest";
import { type Client, connect } from "../../src/client.ts";
import { FrysError } from "../../src/errors.ts";
import { joined } from "../../src/protocol/buffers.ts";
import { bodyOf, iterFrames } from "../../src/protocol/frames.ts";
import { KINDS, type SessionMessage } from "../../src/protocol/messages.ts";
import { parseSession, writeSession } from "../../src/protocol/session_body.ts";
import { isJson, Opcode } from "../../src/protocol/wire.ts";
import { SYSTEM_CLOCK } from "../../src/session/clock.ts";
import { SocketWires } from "../../src/session/socket_wire.ts";
import type { WebSocketLike } from "../../src/session/web_sockets.ts";
import { Random } from "../random.ts";
import { largestArray } from "./allocations.ts";
import { mutated } from "./mutations.ts";
import { MAX_MESSAGE_BYTES } from "./vectors.ts";

const SEED = Number(process.env.HOSTILE_SEED ?? 20261130);
const SECONDS = Number(process.env.HOSTILE_SECONDS ?? 0);
const ROUNDS = 4000;
/** Ids of streams that the vectors use most. */
const STREAMS = 16;
const LIMITS = { max_frame_bytes: 8 << 20, max_message_bytes: MAX_MESSAGE_BYTES, chunk_bytes: 1 << 16 };

/** Socket to a gateway that answers as one has to, and sends whatever the test gives it. */
class HostileSocket implements WebSocketLike {
  static newest: HostileSocket | undefined;
  binaryType = "";
  readonly bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { readonly data: unknown }) => void) | null = null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null = null;
  onerror: ((event: { readonly message?: string }) => void) | null = null;
  #isOver = false;

  constructor() {
    HostileSocket.newest = this;
    queueMicrotask(() => this.onopen?.());
  }

  send(data: Uint8Array): void {
    for (const frame of iterFrames(data)) {
      if (isJson(frame.opcode)) {
        const asked = parseSession(frame.opcode, bodyOf(data, frame));
        queueMicrotask(() => this.#answer(asked));
      }
    }
  }

  close(code = 1000): void {
    if (!this.#isOver) {
      this.#isOver = true;
      queueMicrotask(() => this.onclose?.({ code, reason: "" }));
    }
  }

  /** Send bytes; false: the client has closed. */
  feed(bytes: Uint8Array): boolean {
    if (!this.#isOver) {
      this.onmessage?.({ data: Uint8Array.from(bytes).buffer });
    }
    return !this.#isOver;
  }

  #answer(asked: SessionMessage): void {
    if (asked.opcode === Opcode.HELLO) {
      const { codecs, filters } = asked;
      const names = { client_id: "c", session: "s", peer: 1, agent: "" };
      const times = { heartbeat_interval_s: 1000, time_ns: 1n };
      this.#say({ opcode: Opcode.WELCOME, version: 1, ...names, codecs, filters, limits: LIMITS, ...times });
    } else if (asked.opcode === Opcode.SUBSCRIBE) {
      const { request, subscription } = asked;
      this.#say({ opcode: Opcode.SUBSCRIBED, request, subscription });
      for (let id = 1; id <= STREAMS; id++) {
        const kind = KINDS[id % KINDS.length];
        this.#say({ opcode: Opcode.STREAM, id, stream: `wf/${id}`, kind, epoch: 1, offset: 0n });
      }
    }
  }

  #say(message: SessionMessage): void {
    this.feed(joined(writeSession(message)));
  }
}

afterEach(() => {
  vi.restoreAllMocks();
});

/** Return a client of the hostile gateway that looks at all that it gets. */
async function subscriber(random: Random, seen: unknown[]): Promise<Client> {
  const wires = new SocketWires(SYSTEM_CLOCK, { maxMessageBytes: MAX_MESSAGE_BYTES }, HostileSocket);
  const client = await connect("ws://hostile/", {
    wires,
    maxMessageBytes: MAX_MESSAGE_BYTES,
    backoff: { baseMs: 0, laterMs: 0 },
    closeTimeoutMs: 10,
    onError: (error) => seen.push(error),
    clock: { ...SYSTEM_CLOCK, random: () => random.below(1 << 20) / (1 << 20) },
  });
  await client.subscribe("wf/*", {
    autoAck: random.below(2) === 0,
    onMessage: (message) => message.tensors.map((tensor) => tensor.toNested()),
    onError: (error) => seen.push(error),
  });
  return client;
}

test(
  "a client of a hostile gateway",
  async () => {
    const largest = largestArray();
    const random = new Random(SEED);
    const end = Date.now() + 1000 * SECONDS;
    const seen: unknown[] = [];
    vi.spyOn(console, "warn").mockImplementation((_, problem) => void seen.push(problem));
    let client: Client | undefined;
    let ended = 0;
    for (let round = 0; round < ROUNDS || Date.now() < end; round++) {
      if (!client || client.state === "closed") {
        client = await subscriber(random, seen);
      }
      const { bytes } = mutated(random);
      try {
        ended += Number(!HostileSocket.newest?.feed(bytes));
      } catch (error) {
        throw new Error(`round ${round} of seed ${SEED}`, { cause: error });
      }
      await new Promise((resolve) => setImmediate(resolve));
      const strange = seen.splice(0).filter((error) => !(error instanceof FrysError));
      expect(strange, `round ${round} of seed ${SEED}`).toEqual([]);
    }
    await client?.close();
    expect(largest()).toBeLessThanOrEqual(MAX_MESSAGE_BYTES);
    expect(ended).toBeGreaterThan(100);
  },
  1000 * (SECONDS + 60),
);
