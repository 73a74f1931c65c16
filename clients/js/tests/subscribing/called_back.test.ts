import { afterEach, expect, test, vi } from "vitest";
import { Code } from "../../src/errors.ts";
import { Received } from "../../src/messages/received.ts";
import { Opcode } from "../../src/protocol/wire.ts";
import { Reports } from "../../src/report.ts";
import { callBack, callBackLatest } from "../../src/subscribing/called_back.ts";
import { PendingAck } from "../../src/subscribing/duplicate_filter.ts";
import { arrival, settled } from "../fakes.ts";
import { delivering, newCore } from "./cores.ts";

afterEach(() => vi.unstubAllGlobals());

test("the next message follows when the promise of the one before is done", async () => {
  const { core, clock } = newCore();
  const offsets: bigint[] = [];
  let go = (): void => undefined;
  callBack(
    core,
    ({ offset }) => {
      offsets.push(offset);
      return new Promise<void>((resolve) => {
        go = resolve;
      });
    },
    new Reports(clock),
  );
  delivering(core, arrival(), arrival({ offset: 1n }));
  await settled();
  expect(offsets).toEqual([0n]);
  go();
  await settled();
  expect(offsets).toEqual([0n, 1n]);
});

test("an error of the callback is logged, and the next message follows; one of the subscription is reported", async () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  try {
    const { core, clock, errors } = newCore();
    let calls = 0;
    const failing = (): void => {
      calls++;
      throw new Error("of the program");
    };
    callBack(core, failing, new Reports(clock));
    delivering(core, arrival(), arrival({ offset: 1n }));
    await settled();
    expect([calls, warn.mock.calls.length]).toEqual([2, 1]);
    core.buffer.end(new Error("refused"));
    await settled();
    expect(errors.map(({ message }) => message)).toEqual(["refused"]);
  } finally {
    warn.mockRestore();
  }
});

test("latest hands the newest of each stream once a frame", async () => {
  const frames: (() => void)[] = [];
  vi.stubGlobal("requestAnimationFrame", (callback: () => void) => frames.push(callback));
  const { core, clock } = newCore({ latest: true });
  const offsets: bigint[] = [];
  callBackLatest(core, ({ offset }) => offsets.push(offset), new Reports(clock), clock);
  delivering(core, arrival(), arrival({ offset: 1n }));
  delivering(core, arrival({ offset: 2n }));
  expect([offsets, frames.length]).toEqual([[], 1]);
  frames.pop()?.();
  expect(offsets).toEqual([2n]);
  delivering(core, arrival({ offset: 3n }));
  expect(frames.length).toBe(1);
});

test.each([callBack, callBackLatest])(
  "a callback that throws refuses its message, and another one is done: %o",
  async (call) => {
    const { core, clock } = newCore({ latest: call === callBackLatest });
    const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    const answers: (readonly [bigint, number | undefined])[] = [];
    const onMessage = ({ offset }: { offset: bigint }): void => {
      if (offset === 0n) {
        throw new Error("of the program");
      }
    };
    call(core, onMessage, new Reports(clock), clock);
    for (const offset of [0n, 1n]) {
      const unit = { epoch: 1, first: offset, count: 1, identity: undefined };
      const settled = ({ processed, code }: PendingAck): void => void answers.push([offset, processed ? 0 : code]);
      const source = { name: `wf/${offset}`, epoch: 1, kind: "control", observed: false } as const;
      core.deliver(new Received(source, arrival({ offset }), 0n), 0, new PendingAck(unit, settled, settled), undefined);
    }
    await clock.pass(16);
    core.finish();
    expect(answers).toEqual([
      [0n, Code.NOT_PROCESSED],
      [1n, 0],
    ]);
    warn.mockRestore();
  },
);

test("without frames a timer stands in", async () => {
  const { core, clock } = newCore({ latest: true });
  const offsets: bigint[] = [];
  callBackLatest(core, ({ offset }) => offsets.push(offset), new Reports(clock), clock);
  delivering(core, arrival());
  await clock.pass(16);
  expect(offsets).toEqual([0n]);
});

test("an error that ends a subscription with latest is reported, once", () => {
  const { core, clock, errors } = newCore({ latest: true });
  callBackLatest(core, () => undefined, new Reports(clock), clock);
  core.buffer.end(new Error("refused"));
  core.buffer.end(new Error("again"));
  expect(errors.map(({ message }) => message)).toEqual(["refused"]);
});

test.each([callBack, callBackLatest])(
  "nothing is called back once the program has ended the subscription: %o",
  async (call) => {
    const { core, clock } = newCore({ latest: call === callBackLatest });
    const offsets: bigint[] = [];
    const end = ({ offset }: { offset: bigint }): void => {
      offsets.push(offset);
      core.buffer.end();
      core.withdraw();
    };
    call(core, end, new Reports(clock), clock);
    delivering(core, arrival());
    await settled();
    await clock.pass(16);
    delivering(core, arrival({ offset: 1n }));
    const waiting = newCore({ latest: call === callBackLatest });
    call(waiting.core, end, new Reports(waiting.clock), waiting.clock);
    delivering(waiting.core, arrival({ opcode: Opcode.BATCH, offset: 5n, count: 2 }), arrival({ offset: 7n }));
    waiting.core.buffer.end();
    waiting.core.withdraw();
    await settled();
    await waiting.clock.pass(16);
    expect([offsets, waiting.core.buffer.size, waiting.core.buffer.bytes]).toEqual([[0n], 0, 0]);
  },
);
