/** Reports of what messages cost, and of what waits, with a gateway that the test plays. */

import { expect, test } from "vitest";
import { Client } from "../../src/client.ts";
import type { ReceiverReport } from "../../src/protocol/signals.ts";
import { Opcode } from "../../src/protocol/wire.ts";
import type { Subscription } from "../../src/subscribing/subscription.ts";
import { arrival, type Stage, settled, staged, streamInfo } from "../fakes.ts";

async function subscribed(stage: Stage): Promise<Subscription> {
  const subscribing = new Client(stage.parts).subscribe("wf/*");
  await settled();
  const [{ request, subscription }] = stage.wire.takenOf(Opcode.SUBSCRIBE);
  stage.wire.receive({ opcode: Opcode.SUBSCRIBED, request, subscription });
  return subscribing;
}

/** Return the reports of the next heartbeat. */
async function reports(stage: Stage): Promise<Partial<ReceiverReport>[]> {
  await stage.clock.pass(20_000);
  stage.wire.receive({ opcode: Opcode.PING, t0: 1n, report: false });
  return stage.wire.takenOf(Opcode.REPORT);
}

test("what the program has not taken is reported with the heartbeat, and once when it has taken all", async () => {
  const stage = await staged();
  const subscription = await subscribed(stage);
  expect(await reports(stage)).toEqual([]);
  stage.wire.receive(streamInfo({ since: 0n }), arrival(), arrival({ offset: 1n }));
  expect(await reports(stage)).toMatchObject([
    { unread_bytes: 4n, unread_ns: 20_000_000_000n, positions: [{ stream: 7, behind: 2, offset: 0n }] },
  ]);
  await subscription.next();
  expect(await reports(stage)).toMatchObject([{ unread_bytes: 2n, positions: [{ stream: 7, behind: 1, offset: 1n }] }]);
  expect(await reports(stage)).toMatchObject([{ unread_bytes: 2n, positions: [] }]);
  await subscription.next();
  expect(await reports(stage)).toMatchObject([{ unread_bytes: 0n, unread_ns: 0n, positions: [] }]);
  expect(await reports(stage)).toEqual([]);
});

test("versions of a state that newer ones have replaced count as behind", async () => {
  const stage = await staged();
  await subscribed(stage);
  stage.wire.receive(
    streamInfo({ kind: "state", since: 0n }),
    arrival(),
    arrival({ offset: 1n }),
    arrival({ offset: 2n }),
  );
  expect(await reports(stage)).toMatchObject([{ positions: [{ stream: 7, behind: 3, offset: 0n }] }]);
});

test("the cost of decoding is reported, and counts anew after a report", async () => {
  const stage = await staged();
  const subscription = await subscribed(stage);
  stage.wire.receive(
    streamInfo({ since: 0n }),
    arrival({ decoded: { bytes: 1000, ms: 2 } }),
    arrival({ offset: 1n, decoded: { bytes: 24, ms: 0.5 } }),
  );
  await subscription.next();
  await subscription.next();
  expect(await reports(stage)).toMatchObject([{ decoded_bytes: 1024n, decode_ns: 2_500_000n, unread_bytes: 0n }]);
  expect(await reports(stage)).toEqual([]);
});

test("positions are named again on another connection", async () => {
  const stage = await staged();
  await subscribed(stage);
  stage.wire.receive(streamInfo({ since: 0n }), arrival());
  expect(await reports(stage)).toMatchObject([{ positions: [{ stream: 7 }] }]);
  await stage.again();
  const [{ request, subscription }] = stage.wire.takenOf(Opcode.SUBSCRIBE);
  stage.wire.receive(
    { opcode: Opcode.SUBSCRIBED, request, subscription, positions: 1n },
    streamInfo({ id: 9, since: 1n }),
  );
  expect(await reports(stage)).toMatchObject([{ positions: [{ stream: 9, behind: 1, offset: 0n }] }]);
});
