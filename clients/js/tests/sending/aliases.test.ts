import { expect, test } from "vitest";
import { type Alias, Aliases, type AliasOwner } from "../../src/sending/aliases.ts";
import { staged, WELCOME } from "../fakes.ts";

class Owner implements AliasOwner {
  idle = true;
  gone: Alias[] = [];

  opened(): void {}

  refused(): void {}

  ended(): void {}

  released(alias: Alias): void {
    this.gone.push(alias);
  }
}

test("when all are taken, one that was not used for long and has nothing outstanding is opened again", async () => {
  const stage = await staged();
  stage.wire.lose();
  await stage.clock.pass(30_000);
  await stage.welcome({ limits: { ...WELCOME.limits, max_aliases: 3 } });
  const session = await stage.parts.connection.whenReady();
  const aliases = new Aliases();
  aliases.begin(session);
  const owners = [new Owner(), new Owner(), new Owner(), new Owner()];
  const [first, second, third] = owners.slice(0, 3).map((owner) => aliases.take(session, owner, {}));
  if (!first || !second || !third) {
    throw new Error("there are three");
  }
  expect(aliases.take(session, owners[3], {})).toBeUndefined(); // none is answered
  for (const alias of [first, second, third]) {
    alias.answered = true;
  }
  aliases.used(first);
  owners[1].idle = false;
  third.expect(1n, { payloadBytes: 5 } as never);
  third.expect(4n, { payloadBytes: 6 } as never);
  expect([third.awaitingBytes, third.take(3n, 3).length, third.awaitingBytes, third.take(9n, 2)]).toEqual([
    11,
    1,
    6,
    [],
  ]);
  const few = third.take(2n ** 40n, 0xffff_ffff); // a count that only a hostile gateway names
  expect(few).toEqual([]);
  expect(aliases.take(session, owners[3], {})?.number).toBe(0);
  expect([owners[0].gone, aliases.has(first), aliases.has(second)]).toEqual([[first], false, true]);
  aliases.begin(session);
  expect([aliases.has(second), aliases.get(1)]).toEqual([false, undefined]);
});
