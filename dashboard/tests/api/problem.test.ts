import { expect, test } from "vitest";
import { ProblemError, problemIn, problemOf } from "../../src/api/problem.ts";

test.each([
  ['{"error":"INVALID_REQUEST","message":"limit=0 is no number"}', "INVALID_REQUEST", "limit=0 is no number"],
  ["<h1>Bad gateway</h1>", "", "HTTP 502"],
  ["[1]", "", "HTTP 502"],
  ["", "", "HTTP 502"],
])("an answer %s", async (text, error, message) => {
  expect(await problemOf(new Response(text, { status: 502 }))).toEqual({ status: 502, error, message });
});

test("what is no answer is a gateway that cannot be reached", () => {
  expect(problemIn(new TypeError("Failed to fetch")).status).toBe(0);
  const problem = { status: 404, error: "", message: "x" };
  expect(problemIn(new ProblemError(problem))).toBe(problem);
});
