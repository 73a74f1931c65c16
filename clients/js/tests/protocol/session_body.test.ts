import { expect, test } from "vitest";
import { Code, ProtocolViolation } from "../../src/errors.ts";
import { joined } from "../../src/protocol/buffers.ts";
import { utf8Bytes } from "../../src/protocol/exact_json.ts";
import { bodyOf, iterFrames } from "../../src/protocol/frames.ts";
import type { SessionMessage } from "../../src/protocol/messages.ts";
import { parseSession, writeSession } from "../../src/protocol/session_body.ts";
import { Opcode } from "../../src/protocol/wire.ts";

function readAgain(message: SessionMessage): SessionMessage {
  const bytes = joined(writeSession(message));
  const [frame] = iterFrames(bytes);
  expect(frame.opcode).toBe(message.opcode);
  return parseSession(frame.opcode, bodyOf(bytes, frame));
}

test.each<SessionMessage>([
  {
    opcode: Opcode.HELLO,
    versions: [1],
    client_type: "admin_panel",
    token: null,
    agent: "page",
    codecs: ["lz4"],
    filters: ["shuffle"],
    max_message_bytes: 2n ** 30n,
    credits: true,
  },
  {
    opcode: Opcode.SUBSCRIBE,
    request: 1,
    subscription: 2,
    pattern: "wf/*",
    since: { "wf/a": [2 ** 53 - 1, 2n ** 64n - 1n] },
    credits: { messages: 16, bytes: 2n ** 60n },
    resume: { "wf/a": [3, 4] },
    account: { "wf/a": { delivered: 2n ** 60n, conflated: 0n, dropped: 0n, replayed: 0n, expired: 0n } },
  },
  { opcode: Opcode.SUBSCRIBE, request: 1, subscription: 2, pattern: "wf/a", since: 2n ** 63n },
  { opcode: Opcode.SUBSCRIBE, request: 1, subscription: 2, pattern: "wf/a", since: "beginning" },
  { opcode: Opcode.AUTHENTICATED, request: 1, expires_s: null },
  { opcode: Opcode.UNSUBSCRIBE, request: 1, subscription: 2, keep: true },
  { opcode: Opcode.OPEN, alias: 0, stream: "wf/a", kind: "state", sequence: 2n ** 60n, durability: "fsync" },
  { opcode: Opcode.NOTICE, stream: "wf/a", first: 1n, last: 2n, code: Code.EXPIRED, reason: "too late" },
  { opcode: Opcode.ATTEND, request: 1, scope: "wf", metadata: { role: "viewer" }, watch: "count" },
])("$opcode is read as it was written", (message) => {
  expect(readAgain(message)).toEqual(message);
});

test("unknown fields are skipped", () => {
  expect(parseSession(Opcode.REFRESH, utf8Bytes('{"stream":7,"new":1}'))).toEqual({
    opcode: Opcode.REFRESH,
    stream: 7,
  });
});

test("a HELLO that cannot be read is a violation", () => {
  const read = () => parseSession(Opcode.HELLO, utf8Bytes('{"versions":1}'));
  expect(read).toThrow(ProtocolViolation);
  expect(read).toThrow(
    expect.objectContaining({
      code: Code.BAD_HELLO,
      message: "HELLO: field 'versions' must be a list, met the number 1 (BAD_HELLO, code 4203)",
    }),
  );
});

test.each([
  [Opcode.SUBSCRIBE, '{"request":1,"subscription":4294967296,"pattern":"a/b"}', "subscription"],
  [Opcode.SUBSCRIBE, '{"request":1,"subscription":1,"pattern":"a/b","since":"now"}', "since"],
  [Opcode.SUBSCRIBE, '{"request":1,"subscription":1,"pattern":"a/b","since":{"a":[1]}}', "two integers"],
  [
    Opcode.SUBSCRIBE,
    '{"request":1,"subscription":1,"pattern":"a/b","resume":{"a":[1,4294967296]}}',
    "chunk 4294967296",
  ],
  [Opcode.OPEN, '{"alias":1,"stream":"a/b","kind":"news"}', "must be one of state"],
  [Opcode.GO_AWAY, '{"code":1001,"reason":"","deadline_s":-1}', "not negative"],
])("opcode %i refuses %s", (opcode, text, problem) => {
  expect(() => parseSession(opcode, utf8Bytes(text))).toThrow(problem);
});

test.each([0, Opcode.MESSAGE, 0x7f])("opcode %i has no JSON body", (opcode) => {
  expect(() => parseSession(opcode, utf8Bytes("{}"))).toThrow(
    expect.objectContaining({ code: Code.UNKNOWN_MESSAGE_TYPE }),
  );
});
