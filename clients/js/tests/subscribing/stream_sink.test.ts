import { expect, test } from "vitest";
import { StreamSink } from "../../src/subscribing/stream_sink.ts";
import { streamInfo } from "../fakes.ts";
import { newCore } from "./cores.ts";

test("a stream is for subscriptions whose pattern matches, a view for the one that STREAM names", () => {
  const { core } = newCore();
  const { core: viewing } = newCore({ view: { dtype: "uint8" } });
  const { core: observing } = newCore({ observe: true });
  const wanting = (info: Parameters<typeof streamInfo>[0]) => {
    const sink = new StreamSink(streamInfo(info), undefined);
    return [core, viewing, observing].map((each) => sink.wants(each, info.subscription));
  };
  expect(wanting({})).toEqual([true, false, true]);
  expect(wanting({ stream: "other/a" })).toEqual([false, false, false]);
  expect(wanting({ kind: "collaboration" })).toEqual([true, false, false]);
  expect(wanting({ subscription: 1 })).toEqual([true, true, true]);
  expect(wanting({ subscription: 2 })).toEqual([false, false, false]);
});

test("messages that owe an answer take credit, but not commands", () => {
  const { core } = newCore();
  for (const [kind, expected] of [
    ["event", 1],
    ["control", 1],
  ] as const) {
    const sink = new StreamSink(streamInfo({ kind }), undefined);
    sink.subscriptions.add(core);
    expect(sink.take(5).size).toBe(expected);
  }
});
