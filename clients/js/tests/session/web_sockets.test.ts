import { expect, test } from "vitest";
import { retryAfterS, webSocketType } from "../../src/session/web_sockets.ts";

test("Node takes the WebSocket of ws, which can read refused handshakes", async () => {
  const type = await webSocketType();
  expect(type.prototype).toHaveProperty("terminate");
});

test.each([
  [{ "retry-after": "3", "retry-after-ms": "2750" }, 2.75],
  [{ "retry-after": "3" }, 3],
  [{ "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT" }, undefined],
  [{ "retry-after": "-1" }, undefined],
  [{}, undefined],
])("the time to return in %o", (headers, expected) => {
  expect(retryAfterS({ statusCode: 503, headers })).toBe(expected);
});
