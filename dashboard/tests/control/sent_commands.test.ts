import { expect, test } from "vitest";
import { EMPTY_DRAFT } from "../../src/control/draft.ts";
import { remember, sentCommands } from "../../src/control/sent_commands.ts";

test("the last commands are kept, the newest first", () => {
  for (let sent = 1; sent <= 25; sent++) {
    remember({ ...EMPTY_DRAFT, stream: `wf/${sent}` }, { error: "refused" });
  }
  const streams = sentCommands.value.map(({ draft }) => draft.stream);
  expect([streams.length, streams[0], streams.at(-1)]).toEqual([20, "wf/25", "wf/6"]);
  expect(new Set(sentCommands.value.map(({ number }) => number)).size).toBe(20);
});
