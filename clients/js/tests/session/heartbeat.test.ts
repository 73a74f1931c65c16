import { expect, test } from "vitest";
import { Opcode } from "../../src/protocol/wire.ts";
import { Stage, settled, staged } from "../fakes.ts";

test("four pings follow WELCOME, and then one each interval", async () => {
  const stage = new Stage();
  await stage.welcome();
  let pings = 0;
  for (let round = 0; round < 6; round++) {
    await settled();
    for (const { t0 } of stage.wire.takenOf(Opcode.PING)) {
      pings++;
      stage.wire.receive({ opcode: Opcode.PONG, t0, t1: t0 + 7n, t2: t0 + 7n });
    }
  }
  expect(pings).toBe(4);
  await stage.clock.pass(20_000);
  expect(stage.wire.takenOf(Opcode.PING).length).toBe(1);
});

test("a PING of the gateway is answered behind the report that it asks for", async () => {
  const { wire } = await staged();
  wire.receive({ opcode: Opcode.PING, t0: 42n, report: true });
  await settled();
  expect(wire.takenOf(Opcode.PONG)).toEqual([expect.objectContaining({ t0: 42n })]);
});

test("two and a half intervals of silence end the connection", async () => {
  const stage = await staged();
  await stage.clock.pass(60_050); // WELCOME was a sign of life in the first half interval
  expect(stage.parts.connection.state).toBe("connected");
  await stage.clock.pass(100);
  expect(stage.parts.connection.whyUnsent).toMatch(/nothing was received for 50 s/);
});

test("whatever arrives is a sign of life, also behind the last beat", async () => {
  const stage = await staged();
  for (let beats = 0; beats < 10; beats++) {
    await stage.clock.pass(40_000);
    stage.wire.receive({
      opcode: Opcode.ACK,
      alias: 9,
      count: 1,
      sequence: 1n,
      offset: 1n,
      durability: "memory",
      repeated: false,
    });
  }
  expect(stage.wires.wires.length).toBe(1);
  await stage.clock.pass(50_000);
  stage.wire.receive({ opcode: Opcode.PING, t0: 1n, report: false });
  await stage.clock.pass(1000);
  expect(stage.wires.wires.length).toBe(1);
});

test("a page that is visible again pings at once", async () => {
  const stage = await staged();
  stage.parts.connection.look();
  await settled();
  expect(stage.wire.takenOf(Opcode.PING).length).toBe(1);
});

test("a page that is back gives a connection up from which nothing comes within half an interval", async () => {
  const stage = await staged();
  stage.parts.connection.look();
  await stage.clock.pass(10_050);
  expect(stage.parts.connection.state).toBe("connected");
  await stage.clock.pass(100);
  expect(stage.parts.connection.whyUnsent).toMatch(/nothing was received for 10 s/);
});

test("whatever arrives once the page is back keeps the connection", async () => {
  const stage = await staged();
  stage.parts.connection.look();
  await stage.clock.pass(10_050);
  stage.wire.receive({ opcode: Opcode.PING, t0: 1n, report: false });
  await stage.clock.pass(20_000);
  stage.parts.connection.look();
  await stage.clock.pass(5_000);
  stage.wire.receive({ opcode: Opcode.PING, t0: 1n, report: false });
  await stage.clock.pass(20_000);
  expect([stage.wires.wires.length, stage.parts.connection.state]).toEqual([1, "connected"]);
});

test("a machine that has slept finds out soon that its connection is gone", async () => {
  const stage = await staged();
  stage.clock.ms += 3_600_000;
  await stage.clock.pass(0);
  expect(stage.wire.takenOf(Opcode.PING).length).toBeGreaterThan(0);
  await stage.clock.pass(10_200);
  expect(stage.parts.connection.whyUnsent).toMatch(/nothing was received for 10 s/);
});

test("a client that is closed looks no more", async () => {
  const stage = await staged();
  stage.parts.connection.look();
  const closing = stage.parts.close();
  await stage.clock.pass(60_000);
  await closing;
  stage.parts.connection.look();
  await stage.clock.pass(60_000);
  expect(stage.wires.wires.length).toBe(1);
});

test("beats that come late, as those of a hidden page, are no silence", async () => {
  const stage = await staged();
  for (let minutes = 1; minutes < 20; minutes++) {
    stage.clock.ms += 60_000; // the timer that is due fires now
    await stage.clock.pass(0);
  }
  expect([stage.wires.wires.length, stage.parts.connection.state]).toEqual([1, "connected"]);
});
