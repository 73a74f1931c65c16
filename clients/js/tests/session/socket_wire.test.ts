import { expect, test, vi } from "vitest";
import { Decoder } from "../../src/decoding/decoder.ts";
import { Code } from "../../src/errors.ts";
import { joined } from "../../src/protocol/buffers.ts";
import { writeData } from "../../src/protocol/data.ts";
import { encode } from "../../src/protocol/encoding.ts";
import { writeMeta } from "../../src/protocol/meta.ts";
import { writeSignal } from "../../src/protocol/signals.ts";
import { Opcode } from "../../src/protocol/wire.ts";
import { SocketWires } from "../../src/session/socket_wire.ts";
import type { WebSocketLike } from "../../src/session/web_sockets.ts";
import type { Inbound, WireClosed } from "../../src/session/wire.ts";
import { load } from "../conformance/vectors.ts";
import { FakeClock, settled } from "../fakes.ts";

class FakeSocket implements WebSocketLike {
  static newest: FakeSocket;
  binaryType = "blob";
  bufferedAmount = 0;
  readyState = 1;
  onopen: WebSocketLike["onopen"] = null;
  onmessage: WebSocketLike["onmessage"] = null;
  onclose: WebSocketLike["onclose"] = null;
  onerror: WebSocketLike["onerror"] = null;
  readonly sent: Uint8Array[] = [];
  readonly close = vi.fn();
  readonly terminate = vi.fn();
  refuse:
    | ((request: { destroy(): void }, response: { statusCode: number; headers: Record<string, string> }) => void)
    | undefined;

  constructor() {
    FakeSocket.newest = this;
  }

  send(data: Uint8Array): void {
    this.sent.push(data);
  }

  on(_event: string, listener: NonNullable<FakeSocket["refuse"]>): void {
    this.refuse = listener;
  }

  receive(message: Uint8Array): void {
    this.onmessage?.({ data: Uint8Array.from(message).buffer });
  }
}

async function opened() {
  const clock = new FakeClock();
  const items: Inbound[] = [];
  const closed: WireClosed[] = [];
  const events = {
    opened: vi.fn(),
    drained: vi.fn(),
    received: (received: readonly Inbound[]) => void items.push(...received),
    closed: (end: WireClosed) => void closed.push(end),
  };
  const wires = new SocketWires(clock, {}, FakeSocket);
  const wire = wires.connect("ws://gateway", events);
  await settled();
  const socket = FakeSocket.newest;
  socket.onopen?.();
  return { clock, items, closed, events, wire, wires, socket };
}

const PING = writeSignal({ opcode: Opcode.PING, t0: 1n, report: false });

test("messages are one buffer, and what arrives is handed on in order", async () => {
  const { wire, socket, items, events } = await opened();
  expect([events.opened.mock.calls.length, socket.binaryType]).toEqual([1, "arraybuffer"]);
  wire.send([PING, PING]);
  expect(socket.sent).toEqual([joined([PING, PING])]);
  socket.receive(joined([PING, PING]));
  expect(items.map(({ opcode }) => opcode)).toEqual([Opcode.PING, Opcode.PING]);
});

test("a message whose compressor has to be loaded holds up those behind it", async () => {
  const { socket, items } = await opened();
  const zstd = load().find(({ name }) => name === "chain-zstd")?.message ?? new Uint8Array(0);
  socket.receive(zstd);
  socket.receive(PING);
  await vi.waitFor(() => expect(items.length).toBe(2));
  expect(items.map(({ opcode }) => opcode)).toEqual([Opcode.MESSAGE, Opcode.PING]);
});

test("what is decoded of a message waits for its end: the memory may be handed on with it", async () => {
  const { socket, items } = await opened();
  const ping: Inbound = { opcode: Opcode.PING, t0: 1n, report: false };
  let load: () => void = () => undefined;
  vi.spyOn(Decoder.prototype, "decode").mockImplementationOnce(function* () {
    yield ping;
    yield new Promise<void>((resolve) => {
      load = resolve;
    });
    yield ping;
  });
  socket.receive(PING);
  await settled();
  expect(items).toEqual([]);
  load();
  await settled();
  expect(items).toEqual([ping, ping]);
});

test("a violation closes with its code, and nothing follows it", async () => {
  const { socket, items, closed } = await opened();
  socket.receive(Uint8Array.of(1, 2, 3));
  socket.receive(PING);
  socket.onclose?.({ code: 1006, reason: "" });
  expect(closed.map(({ code }) => code)).toEqual([Code.MALFORMED_FRAME]);
  expect(socket.close.mock.calls[0][0]).toBe(Code.MALFORMED_FRAME);
  expect(items).toEqual([]);
  const other = await opened();
  other.socket.onmessage?.({ data: "text" });
  expect(other.closed[0].code).toBe(Code.MALFORMED_FRAME);
});

test("a connection that ends without a reason, as all do that a browser cannot open, says so", async () => {
  const { socket, closed } = await opened();
  socket.onclose?.({ code: 1006, reason: "" });
  expect(closed).toMatchObject([{ code: 1006, reason: "there is no connection, and nothing tells why" }]);
  const other = await opened();
  other.socket.onclose?.({ code: Code.SLOW_CONSUMER, reason: "" });
  expect(other.closed).toMatchObject([{ code: Code.SLOW_CONSUMER, reason: "SLOW_CONSUMER" }]);
});

test("there is room again when the socket has sent what was above the mark", async () => {
  const { clock, wire, socket, events } = await opened();
  socket.bufferedAmount = 2_000_000;
  wire.send([PING]);
  await clock.pass(100);
  expect([events.drained.mock.calls.length, wire.unsentBytes]).toEqual([0, 2_000_000]);
  socket.bufferedAmount = 1000;
  await clock.pass(10);
  expect(events.drained).toHaveBeenCalledTimes(1);
});

test("the answer to a refused handshake names the time to return", async () => {
  const { socket, closed } = await opened();
  const request = { destroy: vi.fn() };
  socket.refuse?.(request, { statusCode: 503, headers: { "retry-after-ms": "1500" } });
  expect(closed).toEqual([expect.objectContaining({ code: Code.TOO_MANY_CONNECTIONS, retry_after_s: 1.5 })]);
  expect(request.destroy).toHaveBeenCalled();
  const other = await opened();
  other.socket.refuse?.(request, { statusCode: 400, headers: {} });
  expect(other.closed[0]).toMatchObject({ code: 1006, reason: expect.stringContaining("HTTP 400") });
});

test("a socket that fails tells why, and one that is aborted is cut off", async () => {
  const { socket, closed } = await opened();
  socket.onerror?.({ message: "connect ECONNREFUSED" });
  socket.onclose?.({ code: 1006, reason: "" });
  expect(closed[0].reason).toBe("connect ECONNREFUSED");
  const other = await opened();
  other.wire.abort(4000, "silent");
  expect(other.socket.terminate).toHaveBeenCalled();
  expect(other.closed[0]).toMatchObject({ code: 4000, reason: "silent" });
});

test("a payload is decoded before it is handed on", async () => {
  const { socket, items } = await opened();
  const payload = new Uint8Array(4096);
  const encoded = encode(payload);
  const meta = writeMeta([{ name: "", dtype: "uint8", shape: [4096] }]);
  const frame = { opcode: Opcode.MESSAGE, stream: 1, offset: 2n, timestamp_ns: 3n, meta } as const;
  socket.receive(joined(writeData({ ...frame, encoding: encoded?.encoding, payload: encoded ? [encoded.data] : [] })));
  expect(items[0]).toMatchObject({ opcode: Opcode.MESSAGE, offset: 2n, payload });
});

test("a connection that is closed before its socket is made is not made", async () => {
  const made = vi.fn();
  const closed: WireClosed[] = [];
  const ignored = {
    opened: vi.fn(),
    drained: vi.fn(),
    received: vi.fn(),
    closed: (end: WireClosed) => void closed.push(end),
  };
  const wires = new SocketWires(new FakeClock(), {}, undefined);
  vi.stubGlobal("WebSocket", made);
  try {
    wires.connect("ws://127.0.0.1:9", ignored).close(1000, "done");
    expect(closed).toMatchObject([{ code: 1000, reason: "done" }]);
    await vi.dynamicImportSettled();
    expect([closed.length, made.mock.calls.length]).toEqual([1, 0]);
  } finally {
    vi.unstubAllGlobals();
  }
});

test("a connection that a policy forbids ends without a close event, as Chromium has it", async () => {
  const { clock, closed } = await opened();
  FakeSocket.newest.onerror?.({});
  await clock.pass(1000);
  expect(closed).toEqual([]);
  FakeSocket.newest.readyState = 3;
  FakeSocket.newest.onerror?.({});
  expect(closed).toEqual([]);
  await clock.pass(0);
  expect(closed).toMatchObject([{ code: 1006, reason: expect.stringContaining("connect-src") }]);
  const other = await opened();
  FakeSocket.newest.readyState = 3;
  FakeSocket.newest.onerror?.({});
  FakeSocket.newest.onclose?.({ code: 1006, reason: "" });
  await other.clock.pass(0);
  expect(other.closed).toMatchObject([{ code: 1006, reason: "there is no connection, and nothing tells why" }]);
});

test("a reason fits into a close frame, whatever its letters", async () => {
  const { wire, socket } = await opened();
  wire.close(4200, "\u4e16".repeat(200));
  const [, reason] = socket.close.mock.calls[0];
  expect(new TextEncoder().encode(reason).byteLength).toBeLessThanOrEqual(123);
});
