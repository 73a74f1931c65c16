import { expect, test } from "vitest";
import { utf8Bytes } from "../../src/protocol/exact_json.ts";
import { JsonBody } from "../../src/protocol/json_body.ts";
import { readAttend, readAttending, readAwareness, readMembers } from "../../src/protocol/presence.ts";

function body(text: string): JsonBody {
  return JsonBody.parse("TEST", utf8Bytes(text));
}

test("a part in a scope, and the end of it", () => {
  expect(readAttend(body('{"request":1,"scope":"wf","watch":"count"}'))).toMatchObject({ watch: "count" });
  expect(readAttend(body('{"request":1,"scope":"wf"}'))).toMatchObject({ metadata: undefined, watch: undefined });
  expect(() => readAttend(body('{"request":1,"scope":"wf","watch":"all"}'))).toThrow("must be one of members, count");
});

test("the answer, and a state", () => {
  expect(readAttending(body('{"request":1,"scope":"wf","count":3}'))).toMatchObject({ request: 1, count: 3 });
  expect(readAwareness(body('{"scope":"wf","state":{"x":1}}'))).toMatchObject({ state: { x: 1 } });
});

test("changes of members", () => {
  const members = readMembers(
    body(
      '{"scope":"wf","count":1,"members":[{"client_id":"a","client_type":"agent","peer":2,"generation":9007199254740991}],' +
        '"awareness":{"a":null,"b":{}},"left":["c"]}',
    ),
  );
  expect(members.members).toEqual([
    { client_id: "a", client_type: "agent", peer: 2, generation: 2 ** 53 - 1, metadata: {} },
  ]);
  expect(members.awareness).toEqual({ a: null, b: {} });
  expect(members.left).toEqual(["c"]);
});

test("a member without an id is refused", () => {
  expect(() => readMembers(body('{"scope":"wf","count":1,"members":[{}]}'))).toThrow("'client_id' is required");
});
