/** States, attempts and pauses, with a clock and a gateway that the test plays. */

import { describe, expect, test } from "vitest";
import { Code, ConnectionClosed, ConnectionFailed } from "../../src/errors.ts";
import { Opcode } from "../../src/protocol/wire.ts";
import type { ClientState } from "../../src/session/connection.ts";
import { Stage, settled, staged } from "../fakes.ts";

describe("connect", () => {
  test("makes one attempt, and fails with the URL and what to check", async () => {
    const stage = new Stage();
    await settled();
    stage.wire.lose(1006, "refused");
    await expect(stage.opening).rejects.toThrow(/ws:\/\/gateway.*refused.*host and port/);
    await stage.clock.pass(100_000);
    expect([stage.wires.wires.length, stage.parts.connection.state]).toEqual([1, "closed"]);
  });

  test("names the type of the client in the URL", async () => {
    const stage = new Stage({ clientType: "admin_panel" });
    await settled();
    expect(stage.wire.url).toBe("ws://gateway/?client_type=admin_panel");
  });

  test("asks again as long as the time that a busy gateway names is not behind its own", async () => {
    const stage = new Stage({ connectTimeoutMs: 3000 });
    await settled();
    const busy = { code: Code.TOO_MANY_CONNECTIONS, reason: "full", retry_after_s: 2, resumable: {} };
    stage.wire.events.closed(busy);
    await stage.clock.pass(2000);
    expect(stage.wires.wires.length).toBe(1);
    await stage.clock.pass(250);
    expect(stage.wires.wires.length).toBe(2);
    stage.wire.events.closed(busy);
    await expect(stage.opening).rejects.toThrow(
      expect.objectContaining({ code: Code.TOO_MANY_CONNECTIONS, retryAfterS: 2 }),
    );
  });

  test("gives an attempt up that is not answered in time", async () => {
    const stage = new Stage({ connectTimeoutMs: 1000 });
    await stage.clock.pass(1001);
    await expect(stage.opening).rejects.toThrow(/no answer within 1 s/);
  });

  test("fails with a final code", async () => {
    const stage = new Stage();
    await settled();
    stage.wire.events.opened();
    stage.wire.lose(Code.BAD_HELLO, "no such client type");
    await expect(stage.opening).rejects.toThrow(ConnectionClosed);
  });
});

test("HELLO names instance, and the id and generation that the gateway gave", async () => {
  const stage = new Stage();
  await stage.welcome();
  const [first] = stage.wire.takenOf(Opcode.HELLO);
  expect(first).toMatchObject({ client_type: "agent", credits: true, token: null, client_id: undefined });
  const wire = await stage.again();
  const [second] = wire.takenOf(Opcode.HELLO);
  expect(second).toMatchObject({ client_id: "me", generation: 5, instance: first.instance });
  expect(second.filters).toContain("patch");
  wire.lose();
  await stage.clock.pass(30_000);
  await stage.welcome({ generation: undefined });
  expect((await stage.again()).takenOf(Opcode.HELLO)[0].generation).toBe(5);
});

describe("after a loss", () => {
  test.each([
    [0, 0],
    [0.999, 249],
  ])("the first pause is drawn from 0 to the base: %d", async (drawn, least) => {
    const states: ClientState[] = [];
    const stage = await staged({ onState: (state) => states.push(state) });
    stage.clock.drawn = drawn;
    stage.wire.lose();
    await stage.clock.pass(least);
    expect(stage.wires.wires.length).toBe(drawn ? 1 : 2);
    await stage.clock.pass(1);
    expect(stage.wires.wires.length).toBe(2);
    await stage.welcome();
    expect(states).toEqual(["connected", "reconnecting", "connected"]);
  });

  test("the bound doubles, and a connection that is lost at once does not reset it", async () => {
    const stage = await staged();
    stage.clock.drawn = 1;
    const pauses: number[] = [];
    for (let attempt = 0; attempt < 10; attempt++) {
      stage.wire.lose();
      const [since, wires] = [stage.clock.ms, stage.wires.wires.length];
      while (stage.wires.wires.length === wires) {
        await stage.clock.pass(250);
      }
      pauses.push(stage.clock.ms - since);
    }
    expect(pauses).toEqual([250, 500, 1000, 2000, 4000, 8000, 16000, 20000, 20000, 20000]);
    await stage.welcome();
    await stage.clock.pass(4999);
    stage.wire.lose();
    await stage.clock.pass(19_999);
    expect(stage.wires.wires.length).toBe(11);
    await stage.clock.pass(1);
    await stage.welcome();
    await stage.clock.pass(5000);
    stage.wire.lose();
    await stage.clock.pass(250);
    expect(stage.wires.wires.length).toBe(13);
  });

  test("41xx comes back later, and a time that the gateway names is kept", async () => {
    const stage = await staged();
    stage.clock.drawn = 0;
    stage.wire.lose(Code.OVERLOADED, "too much to do");
    await stage.clock.pass(1999);
    expect(stage.wires.wires.length).toBe(1);
    await stage.clock.pass(1);
    await stage.welcome();
    const error = { opcode: Opcode.ERROR, code: Code.OVERLOADED, error: "OVERLOADED", retry_after_s: 30 } as const;
    stage.wire.receive({ ...error, message: "much waits" });
    stage.wire.lose(Code.OVERLOADED, "");
    stage.parts.connection.look();
    await stage.clock.pass(29_999);
    expect(stage.wires.wires.length).toBe(2);
    await stage.clock.pass(1);
    expect(stage.wires.wires.length).toBe(3);
  });

  test("the network that is back ends a pause", async () => {
    const stage = await staged();
    stage.wire.lose();
    await settled();
    stage.parts.connection.look();
    await settled();
    expect(stage.wires.wires.length).toBe(2);
  });

  test("42xx is final: the reason goes to onError and to every call", async () => {
    const stage = await staged();
    stage.wire.lose(Code.SUPERSEDED, "peer 9 has the id");
    await settled();
    expect(stage.parts.connection.state).toBe("closed");
    expect(stage.errors[0]).toMatchObject({ code: Code.SUPERSEDED });
    expect(stage.errors[0].message).toMatch(/peer 9 has the id/);
    await expect(stage.parts.connection.whenReady()).rejects.toThrow(ConnectionClosed);
  });

  test("43xx asks the function for another token, and is final without one", async () => {
    const tokens = ["old", "new"];
    const stage = await staged({ token: async () => tokens.shift() ?? null });
    stage.wire.lose(Code.UNAUTHENTICATED, "expired");
    await stage.clock.pass(1000);
    await stage.welcome();
    expect(stage.wire.takenOf(Opcode.HELLO)[0].token).toBe("new");
    const other = await staged({ token: "old" });
    other.wire.lose(Code.UNAUTHENTICATED, "expired");
    expect(other.parts.connection.state).toBe("closed");
  });

  test("an error of the function for tokens is a failed attempt", async () => {
    let fails = false;
    const token = () => {
      if (fails) {
        throw new Error("the token server is away");
      }
      return "t";
    };
    const stage = await staged({ token });
    fails = true;
    stage.wire.lose();
    await stage.clock.pass(10_000);
    expect(stage.errors.map(({ message }) => message)).toContain("the token server is away");
    fails = false;
    await stage.clock.pass(30_000);
    await stage.welcome();
    expect(stage.parts.connection.state).toBe("connected");
  });

  test("without backoff the client is closed", async () => {
    const stage = await staged({ backoff: null });
    stage.wire.lose();
    expect(stage.parts.connection.error).toBeInstanceOf(ConnectionFailed);
  });
});

test("GO_AWAY starts nothing new, and names the time and place of the next connection", async () => {
  const stage = await staged();
  stage.clock.drawn = 0;
  const away = { opcode: Opcode.GO_AWAY, code: 1001, reason: "stopping", deadline_s: 10 } as const;
  stage.wire.receive({ ...away, reconnect_after_s: 3, address: "ws://other:1" });
  expect(stage.parts.connection.ready).toBeUndefined();
  expect(stage.parts.connection.session?.open).toBe(true);
  stage.wire.lose(1001, "");
  await stage.clock.pass(2999);
  expect(stage.wires.wires.length).toBe(1);
  await stage.clock.pass(1);
  expect(stage.wire.url).toBe("ws://other:1/?client_type=agent");
});

test("a client that is closed while the function for tokens is asked connects no more", async () => {
  let give: (token: string) => void = () => undefined;
  const tokens: (string | Promise<string>)[] = [
    "first",
    new Promise<string>((resolve) => {
      give = resolve;
    }),
  ];
  const stage = await staged({ token: () => tokens.shift() ?? null });
  stage.wire.lose();
  await stage.clock.pass(1000);
  await stage.parts.close();
  give("late");
  await settled();
  expect([stage.wires.wires.length, stage.parts.connection.state]).toEqual([1, "closed"]);
});

test("closing closes with 1000, and cuts a connection off that does not answer", async () => {
  const stage = await staged({ closeTimeoutMs: 100 });
  const closing = stage.parts.close();
  await settled();
  expect(stage.wire.closedBy).toBe(1000);
  await stage.clock.pass(100);
  await closing;
  expect(stage.parts.connection.state).toBe("closed");
  expect(stage.errors).toEqual([]);
});
