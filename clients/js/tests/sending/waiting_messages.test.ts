import { expect, test } from "vitest";
import { Opcode } from "../../src/protocol/wire.ts";
import { contentOf } from "../../src/sending/content.ts";
import { OutboundMessage } from "../../src/sending/outbound_message.ts";
import { WaitingMessages } from "../../src/sending/waiting_messages.ts";

function message(bytes = 1): OutboundMessage {
  const content = contentOf(new Uint8Array(bytes));
  return new OutboundMessage({
    opcode: Opcode.MESSAGE,
    content,
    flags: 0,
    calledNs: 0n,
    codec: "none",
    declaration: {},
  });
}

test("memory is that of what waits, however it comes and goes", () => {
  const waiting = new WaitingMessages();
  const [first, second, third] = [message(100), message(), message(1000)];
  for (const each of [first, second, third]) {
    waiting.add(each);
  }
  const all = first.heldBytes + second.heldBytes + third.heldBytes;
  expect([waiting.size, waiting.heldBytes, waiting.first]).toEqual([3, all, first]);
  waiting.remove(second);
  waiting.remove(second);
  expect([...waiting]).toEqual([first, third]);
  expect(waiting.heldBytes).toBe(all - second.heldBytes);
  waiting.remove(first);
  waiting.divideFirst([first, second, third]);
  expect([waiting.size, waiting.heldBytes]).toEqual([3, all]);
  expect([waiting.takeAll().length, waiting.size, waiting.heldBytes]).toEqual([3, 0, 0]);
});

test("what an earlier connection may have carried goes first, by its sequences; all else by the order of the calls", () => {
  const waiting = new WaitingMessages();
  const [first, second, third, fourth] = [message(), message(), message(), message()];
  Object.assign(third, { sequence: 2n, lostMs: 1 });
  Object.assign(fourth, { sequence: 1n, begun: true });
  waiting.add(second);
  waiting.putBack([third, first, fourth, second]);
  expect([...waiting]).toEqual([fourth, third, first, second]);
});
