import { expect, test } from "vitest";
import { Opcode } from "../../src/protocol/wire.ts";
import { CreditAccount } from "../../src/subscribing/credit_account.ts";
import { settled, staged } from "../fakes.ts";

test("credit is granted again whenever half of either number is free", async () => {
  const { parts, wire } = await staged();
  const session = await parts.connection.whenReady();
  const account = new CreditAccount({ messages: 4, bytes: 1000n });
  account.begin(session, 3);
  const taken = [10, 10, 600, 10].map((bytes) => account.take(bytes));
  account.free(taken[0]);
  await settled();
  expect(wire.taken()).toEqual([]);
  account.free(taken[1]);
  account.free(taken[2]);
  account.free(undefined);
  await settled();
  expect(wire.taken()).toEqual([
    { opcode: Opcode.CREDIT, subscription: 3, messages: 2, nbytes: 20n },
    { opcode: Opcode.CREDIT, subscription: 3, messages: 1, nbytes: 600n },
  ]);
});

test("a new connection begins with the full grant, and what came before is not granted", async () => {
  const stage = await staged();
  const account = new CreditAccount({ messages: 1, bytes: 1n });
  expect(account.take(1)).toBeUndefined();
  account.begin(await stage.parts.connection.whenReady(), 3);
  const taken = account.take(1);
  const wire = await stage.again();
  account.begin(await stage.parts.connection.whenReady(), 3);
  wire.taken();
  account.free(taken);
  await settled();
  expect(wire.takenOf(Opcode.CREDIT)).toEqual([]);
});
