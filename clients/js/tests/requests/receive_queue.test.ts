import { expect, test } from "vitest";
import { ReceiveQueue } from "../../src/requests/receive_queue.ts";

test("items come in order, to whoever waits first", async () => {
  const queue = new ReceiveQueue<number>((bytes) => bytes);
  const next = queue.next();
  queue.put(1);
  queue.put(2);
  expect([await next, await queue.next(), queue.size]).toEqual([1, 2, 0]);
});

test("at the end all that waits can be taken, and then comes the end, or its error", async () => {
  const queue = new ReceiveQueue<number>((bytes) => bytes);
  queue.put(1);
  queue.end(new Error("refused"));
  queue.end();
  expect(await queue.next()).toBe(1);
  await expect(queue.next()).rejects.toThrow("refused");
  const other = new ReceiveQueue<number>((bytes) => bytes);
  const next = other.next();
  other.end();
  expect([await next, await other.next(), other.over]).toEqual([undefined, undefined, true]);
  const failing = new ReceiveQueue<number>((bytes) => bytes);
  const failed = failing.next();
  failing.end(new Error("closed"));
  await expect(failed).rejects.toThrow("closed");
});

test("memory is that of what waits", async () => {
  const queue = new ReceiveQueue<number>((bytes) => bytes);
  const first = queue.next();
  for (const bytes of [5, 6, 7]) {
    queue.put(bytes);
  }
  expect([await first, queue.bytes, queue.size]).toEqual([5, 13, 2]);
  expect([await queue.next(), queue.bytes]).toEqual([6, 7]);
  await queue.next();
  queue.end();
  expect([await queue.next(), queue.bytes]).toEqual([undefined, 0]);
});
