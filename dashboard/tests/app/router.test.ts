import { expect, test } from "vitest";
import { hashOf, routeOf } from "../../src/app/router.ts";

test.each([
  ["", [], {}],
  ["#/", [], {}],
  ["#/streams/wf-42/weights?view=heat&axis=1", ["streams", "wf-42", "weights"], { view: "heat", axis: "1" }],
  ["#/collaboration/a%2Fb", ["collaboration", "a/b"], {}],
  ["#/streams/50%", ["streams", "50%"], {}],
  ["#/control?text=a%3Fb", ["control"], { text: "a?b" }],
])("%s is read", (hash, path, query) => {
  expect(routeOf(hash)).toEqual({ path, query });
});

test("a route is read as it was written", () => {
  const [path, query] = [["streams", "a b/c", "ü?#"], { search: "**&x=1", empty: "", absent: undefined }];
  expect(routeOf(hashOf(path, query))).toEqual({ path, query: { search: "**&x=1" } });
  expect(hashOf([])).toBe("#/");
});
