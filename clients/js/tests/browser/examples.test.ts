/** The examples for pages run as they are, each in a page of its own that knows nothing but addresses. */

import { expect, inject, test } from "vitest";
import { commands } from "vitest/browser";

test("heat_map.html draws the newest version", async () => {
  const url = inject("url");
  await commands.publishStates(url, "example/field", { hz: 100, seconds: 0.2, shape: [3, 4] });
  const options = new URLSearchParams({ url, admin: inject("adminUrl"), stream: "example/field" });
  const address = `${inject("examplesUrl")}/heat_map.html?${options}`;
  // All numbers are the same, and have the first colour of the map.
  expect(await commands.drawn(address, "example/field, version 19: float32 [3,4]")).toEqual({
    size: [4, 3],
    last: [0, 0, 4, 255],
  });
});
