import { expect, test } from "vitest";
import { progressText } from "../../src/control/drain.tsx";

test.each([
  [
    { connections: 3, untold: 2, left_s: 4.2 },
    "3 clients still connected, 2 of them not told yet. The gateway ends in 5 s at the latest.",
  ],
  [{ connections: 1, untold: 0, left_s: 1 }, "1 client still connected. The gateway ends in 1 s at the latest."],
  [{ connections: 0, untold: 0, left_s: null }, "No client is connected any more."],
])("the progress of %j", (fields, words) => {
  expect(progressText({ draining: true, ...fields })).toBe(words);
});
