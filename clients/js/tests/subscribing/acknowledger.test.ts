import { expect, test } from "vitest";
import { Opcode } from "../../src/protocol/wire.ts";
import { Acknowledger } from "../../src/subscribing/acknowledger.ts";
import { settled, staged } from "../fakes.ts";

test("answers of one turn are sent as ranges, behind them what is in progress", async () => {
  const { parts, wire } = await staged();
  const idOf = (stream: string, epoch: number) => (stream === "wf/a" && epoch === 1 ? 7 : undefined);
  const acknowledger = new Acknowledger({ session: parts.connection.session, idOf });
  acknowledger.add("wf/a", 1, 0, 1n, 2n);
  acknowledger.add("wf/a", 1, 0, 3n, 3n);
  acknowledger.add("wf/a", 1, 5224, 9n, 9n);
  acknowledger.add("wf/b", 1, 0, 1n, 1n);
  acknowledger.report("wf/a", 1, [[4n, 5n]]);
  acknowledger.add("wf/a", 2, 0, 1n, 1n);
  await settled();
  expect(wire.taken()).toEqual([
    { opcode: Opcode.DONE, stream: 7, code: 0, first: 1n, last: 3n },
    { opcode: Opcode.DONE, stream: 7, code: 5224, first: 9n, last: 9n },
    { opcode: Opcode.IN_PROGRESS, stream: 7, first: 4n, last: 5n },
  ]);
});

test("without a connection answers are dropped", async () => {
  const acknowledger = new Acknowledger({ session: undefined, idOf: () => 7 });
  acknowledger.add("wf/a", 1, 0, 1n, 2n);
  acknowledger.report("wf/a", 1, [[4n, 5n]]);
  await settled();
});
