import { expect, test } from "vitest";
import { orderOf, orderText } from "../../src/app/order.ts";

test("an order is read as it was written", () => {
  for (const text of ["bytes", "-bytes"]) {
    expect(orderText(orderOf(text) ?? { column: "", descending: false })).toBe(text);
  }
  expect([orderOf(undefined), orderOf("")]).toEqual([undefined, undefined]);
});
