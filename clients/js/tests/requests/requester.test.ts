/** Requests, with a gateway that the test plays. */

import { expect, test } from "vitest";
import { Client } from "../../src/client.ts";
import { Code, RequestRefused } from "../../src/errors.ts";
import type { Refusal } from "../../src/protocol/messages.ts";
import { Flag, Opcode } from "../../src/protocol/wire.ts";
import type { Arrival } from "../../src/session/wire.ts";
import { arrival, type Stage, settled, staged, streamInfo } from "../fakes.ts";

const SMALL = Uint8Array.of(1);

async function asking(options = {}): Promise<{ stage: Stage; client: Client }> {
  const stage = await staged(options);
  return { stage, client: new Client(stage.parts) };
}

function reply(correlation: bigint, fields: Partial<Arrival> = {}): Arrival {
  return arrival({ opcode: Opcode.REPLY, stream: 17, publisher: 4, offset: correlation, ...fields });
}

function refusal(code: number, correlation: bigint): Refusal {
  return { opcode: Opcode.ERROR, code, error: "", message: "no", correlation };
}

test("the address is opened once, and each request has a correlation of its own", async () => {
  const { stage, client } = await asking();
  const [one, other] = [client.request("agent:a", SMALL), client.request("agent:a", SMALL)];
  await settled();
  const [open, ...requests] = stage.wire.taken();
  expect(open).toMatchObject({ opcode: Opcode.OPEN, stream: "agent:a", producer: undefined });
  expect(requests.map((request) => "offset" in request && request.offset)).toEqual([1n, 2n]);
  stage.wire.receive(
    streamInfo({ id: null, stream: "agent:a", alias: 0 }),
    reply(2n),
    reply(1n, { headers: { a: 1 } }),
  );
  expect([(await one).headers, (await other).headers]).toEqual([{ a: 1 }, null]);
  await settled();
  stage.wire.receive(reply(1n)); // nobody waits for it
});

test.each([Code.QUEUE_FULL, Code.TRANSFER_TIMEOUT])(
  "a request that was not delivered is sent again: %i",
  async (code) => {
    const { stage, client } = await asking();
    const result = client.request("agent:a", SMALL);
    await settled();
    stage.wire.taken();
    stage.wire.receive(refusal(code, 1n));
    await stage.clock.pass(10);
    expect(stage.wire.takenOf(Opcode.REQUEST).map(({ offset }) => offset)).toEqual([2n]);
    stage.wire.receive(reply(2n));
    await result;
  },
);

test("after any other refusal it is not, and after its time limit it fails with the refusal", async () => {
  const { stage, client } = await asking();
  const refused = client.request("agent:a", SMALL);
  await settled();
  stage.wire.receive(refusal(Code.NO_SUCH_PEER, 1n));
  await expect(refused).rejects.toThrow(expect.objectContaining({ code: Code.NO_SUCH_PEER }));
  const waiting = client.request("agent:a", SMALL, { timeoutMs: 100 });
  waiting.catch(() => undefined);
  for (let tries = 2n; tries < 6n; tries++) {
    await settled();
    stage.wire.receive(refusal(Code.QUEUE_FULL, tries));
    await stage.clock.pass(50);
  }
  await expect(waiting).rejects.toThrow(expect.objectContaining({ code: Code.QUEUE_FULL }));
});

test("every part restarts the time limit, and so does every chunk of a large reply", async () => {
  const { stage, client } = await asking();
  const result = client.request("agent:a", SMALL, { timeoutMs: 1000 });
  for (let parts = 0; parts < 5; parts++) {
    await stage.clock.pass(800);
    stage.wire.receive(reply(1n, { flags: Flag.MORE }));
    await stage.clock.pass(800);
    stage.wire.receive({ opcode: "progress", publisher: 4, correlation: 1n });
  }
  stage.wire.receive(reply(1n));
  await result;
});

test("a caller that gives up cancels the request, and one that is still being sent is ended by ABORT", async () => {
  const { stage, client } = await asking();
  const stream = client.requestStream("agent:a", SMALL);
  const first = stream.next();
  await settled();
  stage.wire.receive(reply(1n, { flags: Flag.MORE }));
  await first;
  await stream.return();
  await settled();
  expect(stage.wire.takenOf(Opcode.CANCEL)).toEqual([{ opcode: Opcode.CANCEL, peer: 0, correlation: 1n }]);
  const aborting = new AbortController();
  stage.wire.roomBytes = 100_000;
  const large = client.request("agent:a", new Uint8Array(500_000), { signal: aborting.signal });
  large.catch(() => undefined);
  await settled();
  aborting.abort(new Error("enough"));
  stage.wire.drain();
  await settled();
  await expect(large).rejects.toThrow("enough");
  expect(stage.wire.taken().at(-1)).toMatchObject({ opcode: Opcode.ABORT, code: Code.CANCELLED });
});

test("a deadline travels with the request, and ends one that could not be sent", async () => {
  const { stage, client } = await asking();
  client.request("agent:a", SMALL, { expiresInMs: 5000 }).catch(() => undefined);
  await settled();
  const [request] = stage.wire.takenOf(Opcode.REQUEST);
  expect(request.extensions?.deadline_ns).toBe(request.timestamp_ns + 5_000_000_000n);
  stage.wire.lose();
  const unsent = client.request("agent:a", SMALL, { expiresInMs: 10 });
  unsent.catch(() => undefined);
  await stage.clock.pass(20);
  await expect(unsent).rejects.toThrow(expect.objectContaining({ code: Code.EXPIRED }));
});

test("a reply that was cut off does not end the request, one that cannot be read does", async () => {
  const { stage, client } = await asking();
  const failure = {
    opcode: "failure",
    of: Opcode.REPLY,
    stream: 17,
    publisher: 4,
    count: 1,
    declared_bytes: 9,
  } as const;
  const rest = { problem: "broken", needs_keyframe: false };
  const result = client.request("agent:a", SMALL);
  await settled();
  stage.wire.receive({ ...failure, ...rest, offset: 1n, code: Code.TRANSFER_ABORTED });
  stage.wire.receive(reply(1n));
  await result;
  const unread = client.request("agent:a", SMALL);
  await settled();
  stage.wire.receive({ ...failure, ...rest, offset: 2n, code: Code.CORRUPT_PAYLOAD });
  await expect(unread).rejects.toThrow(RequestRefused);
});
