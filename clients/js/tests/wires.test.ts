import { afterEach, expect, test, vi } from "vitest";
import { connect } from "../src/client.ts";
import { UsageError } from "../src/errors.ts";
import { SocketWires } from "../src/session/socket_wire.ts";
import { wiresFor } from "../src/wires.ts";
import { WorkerWires } from "../src/worker/worker_wires.ts";
import { FakeWires } from "./fakes.ts";

afterEach(() => {
  vi.unstubAllGlobals();
});

test("a page has its socket in a worker, unless it wants none", async () => {
  vi.stubGlobal("Worker", class {});
  vi.stubGlobal("document", {});
  expect(await wiresFor({})).toBeInstanceOf(WorkerWires);
  expect(await wiresFor({ worker: false })).toBeInstanceOf(SocketWires);
});

test("a program that runs in a worker itself has it in its own thread, unless it wants another", async () => {
  vi.stubGlobal("Worker", class {});
  expect(await wiresFor({})).toBeInstanceOf(SocketWires);
  expect(await wiresFor({ worker: true })).toBeInstanceOf(WorkerWires);
});

test("without workers the socket is in the thread of the program", async () => {
  vi.stubGlobal("Worker", undefined);
  expect(await wiresFor({ maxMessageBytes: 1000 })).toBeInstanceOf(SocketWires);
  await expect(wiresFor({ worker: true })).rejects.toThrow(UsageError);
});

test("a platform without WebSockets is told of as that, not as a refusal of the gateway", async () => {
  vi.doMock("ws", () => {
    throw new Error("not installed");
  });
  vi.stubGlobal("WebSocket", undefined);
  await expect(connect("ws://127.0.0.1:9")).rejects.toThrow(/^this platform has no WebSocket: install the package ws/);
  await expect(connect("ws://127.0.0.1:9")).rejects.toThrow(UsageError);
  vi.doUnmock("ws");
});

test("a far side that the program gives is taken", async () => {
  const wires = new FakeWires();
  expect(await wiresFor({ wires, worker: true })).toBe(wires);
});
