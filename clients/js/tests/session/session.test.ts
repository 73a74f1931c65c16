import { expect, test } from "vitest";
import { Code, ConnectionFailed, RequestRefused } from "../../src/errors.ts";
import { Opcode } from "../../src/protocol/wire.ts";
import { settled, staged, WELCOME } from "../fakes.ts";

test("frames of one turn share a WebSocket message, unless they are large", async () => {
  const { parts, wire } = await staged();
  const session = await parts.connection.whenReady();
  session.signal({ opcode: Opcode.CANCEL, peer: 0, correlation: 1n });
  session.signal({ opcode: Opcode.CANCEL, peer: 0, correlation: 2n });
  await settled();
  expect(wire.messages.length).toBe(1);
  expect(wire.takenOf(Opcode.CANCEL).map(({ correlation }) => correlation)).toEqual([1n, 2n]);
  session.send([new Uint8Array(40_000)]);
  session.send([new Uint8Array(40_000)]);
  await settled();
  expect(wire.messages.map(({ byteLength }) => byteLength)).toEqual([40_000, 40_000]);
});

test("answers go to their requests, and an ERROR refuses its request", async () => {
  const { parts, wire } = await staged();
  const session = await parts.connection.whenReady();
  const asked = session.ask((request) => ({ opcode: Opcode.UNSUBSCRIBE, request, subscription: 3 }));
  const refused = session.ask((request) => ({ opcode: Opcode.DELETE, request, pattern: "wf/a" }));
  await settled();
  const [first, second] = wire.taken() as { request: number }[];
  wire.receive({
    opcode: Opcode.ERROR,
    code: Code.FORBIDDEN,
    error: "FORBIDDEN",
    message: "no",
    request: second.request,
  });
  wire.receive({ opcode: Opcode.UNSUBSCRIBED, request: first.request, subscription: 3 });
  await expect(refused).rejects.toThrow(expect.objectContaining({ code: Code.FORBIDDEN }));
  expect((await asked).request).toBe(first.request);
});

test("a lost connection fails the requests that were not answered", async () => {
  const { parts, wire } = await staged();
  const session = await parts.connection.whenReady();
  const asked = session.ask((request) => ({ opcode: Opcode.DELETE, request, pattern: "wf/a" }));
  wire.lose();
  await expect(asked).rejects.toThrow(ConnectionFailed);
  await expect(session.ask((request) => ({ opcode: Opcode.DELETE, request, pattern: "a/b" }))).rejects.toThrow(
    ConnectionFailed,
  );
  expect(session.open).toBe(false);
});

test("a request that the gateway would not read fails at the call", async () => {
  const { parts } = await staged();
  const session = await parts.connection.whenReady();
  const pattern = "x".repeat(70_000);
  await expect(session.ask((request) => ({ opcode: Opcode.DELETE, request, pattern }))).rejects.toThrow(RequestRefused);
});

test("chunks follow the advice of the gateway within the protocol", async () => {
  for (const [advice, expected] of [
    [100, 4096],
    [100_001, 99_968],
    [1e9, 4 * 1024 * 1024],
  ]) {
    const stage = await staged();
    stage.wire.lose();
    await stage.clock.pass(10_000);
    await stage.welcome({ limits: { ...WELCOME.limits, chunk_bytes: advice } });
    expect(stage.parts.connection.session?.chunkBytes).toBe(expected);
  }
});

test("a second WELCOME ends the connection", async () => {
  const { wire } = await staged();
  wire.receive(WELCOME);
  expect(wire.closedBy).toBe(Code.UNEXPECTED_MESSAGE);
});

test("nothing is handled that came behind the end of a connection, in the same message", async () => {
  let notices = 0;
  const lose = (): void => {
    notices++;
    stage.wire.lose();
  };
  const stage = await staged({ onNotice: lose });
  const { wire } = stage;
  const notice = { opcode: Opcode.NOTICE, code: Code.EXPIRED, reason: "late" } as const;
  wire.receive(notice, { opcode: Opcode.PING, t0: 1n, report: false }, notice);
  await settled();
  expect([notices, stage.parts.connection.state, wire.taken()]).toEqual([1, "reconnecting", []]);
});
