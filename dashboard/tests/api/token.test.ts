import { afterEach, describe, expect, test, vi } from "vitest";
import { read } from "../../src/api/requests.ts";
import { authorization, keepToken, token } from "../../src/api/token.ts";

describe("the token", () => {
  afterEach(() => {
    token.value = null;
    vi.unstubAllGlobals();
  });

  test("is shown by requests once it was pasted", async () => {
    const asked: (HeadersInit | undefined)[] = [];
    vi.stubGlobal("fetch", (_: string, init: RequestInit) => {
      asked.push(init.headers);
      return Promise.resolve(Response.json({}));
    });
    await read("/api/v1/summary");
    expect(keepToken("  a.b-c.d_e=\n")).toBe(true);
    await read("/api/v1/summary");
    expect(asked).toEqual([{}, { authorization: "Bearer a.b-c.d_e=" }]);
  });

  test.each(["", "   ", "a b", "a\nb", "ä", "a\u0000"])("is not '%s', which no request can show", (text) => {
    expect(keepToken(text)).toBe(false);
    expect(authorization()).toEqual({});
  });
});
