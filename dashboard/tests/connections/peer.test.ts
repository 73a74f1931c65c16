import { expect, test } from "vitest";
import { peerOf } from "../../src/connections/peer.ts";

test.each([
  ["1", 1],
  ["4294967295", 4294967295],
])("%s is a number of a connection", (segment, peer) => {
  expect(peerOf(segment)).toBe(peer);
});

test.each(["", "0", "-3", "1.5", "1e3", "abc", " 1", "007", "4294967296", "99999999999999999999"])(
  "no connection has the number '%s'",
  (segment) => {
    expect(peerOf(segment)).toBeUndefined();
  },
);
