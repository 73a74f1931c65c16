import { expect, test } from "vitest";
import { Batcher, type Ready } from "../../src/sending/batcher.ts";
import { contentOf, type Value } from "../../src/sending/content.ts";
import { settled } from "../fakes.ts";

function collecting() {
  const ready: Ready[] = [];
  const batcher = new Batcher((each) => ready.push(each));
  const add = (stream: string, value: Value, headers = {}) => {
    const content = contentOf(value, Object.keys(headers).length ? headers : null);
    batcher.add({ stream, kind: undefined, codec: "none", content, calledNs: 1n });
  };
  return { ready, batcher, add };
}

test("messages that look alike become one batch, others keep their place", async () => {
  const { ready, batcher, add } = collecting();
  add("a", Int8Array.of(1));
  add("a", Int8Array.of(2));
  add("b", Int8Array.of(9));
  add("a", Int8Array.of(3, 4));
  add("a", Int8Array.of(5, 6), { step: 1 });
  expect(batcher.heldBytes).toBeGreaterThan(3);
  await settled();
  const sent = ready.map(({ stream, count, content }) => [stream, count, [...content.payload]]);
  expect(sent).toEqual([
    ["a", 2, [1, 2]],
    ["a", undefined, [3, 4]],
    ["b", undefined, [9]],
    ["a", undefined, [5, 6]],
  ]);
  expect(batcher.heldBytes).toBe(0);
});

test("a batch is sent at once when it is large, and before a publish to its stream", async () => {
  const { ready, batcher, add } = collecting();
  for (let number = 0; number < 8192; number++) {
    add("a", Int8Array.of(number));
  }
  expect(ready.map(({ count }) => count)).toEqual([8192]);
  add("b", new Uint8Array(70_000));
  expect(ready.length).toBe(2);
  add("c", new Uint8Array(1));
  batcher.flush("c");
  expect(ready.length).toBe(3);
});
