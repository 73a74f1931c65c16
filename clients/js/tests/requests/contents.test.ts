import { expect, test } from "vitest";
import { UsageError } from "../../src/errors.ts";
import { Reply } from "../../src/requests/contents.ts";
import { arrival } from "../fakes.ts";

test("a reply has the tensors of its frame", () => {
  const reply = new Reply(arrival({ headers: { a: 1 } }));
  expect([reply.tensor.size, reply.named("")?.size, reply.headers, reply.publisher]).toEqual([2, 2, { a: 1 }, 3]);
  expect(() => new Reply(arrival({ specs: [], payload: new Uint8Array(0) })).tensor).toThrow(UsageError);
});
