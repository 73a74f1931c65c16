/** Pictures of every view in light, dark and on a phone, in `dashboard/screenshots`: to be looked at, one by one. */

import { mkdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { BrowserContextOptions } from "playwright";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CAN_RUN, Stage } from "./stage.ts";

const FOLDER = fileURLToPath(new URL("../../screenshots/", import.meta.url));
/** Time in which numbers come, and charts get some points. */
const SETTLED_MS = 1500;
const VIEWS: Readonly<Record<string, string>> = {
  overview: "#/",
  streams: "#/streams",
  state: "#/streams/sim/field",
  events: "#/streams/train/loss",
  tasks_stream: "#/streams/plan/tasks",
  connections: "#/connections",
  connection: "#/connections/1",
  collaboration: "#/collaboration",
  workflow: "#/collaboration/train",
  optimizer: "#/optimizer",
  tasks: "#/tasks",
  control: "#/control",
};
const LOOKS: Readonly<Record<string, BrowserContextOptions>> = {
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  phone: { colorScheme: "light", viewport: { width: 390, height: 844 } },
};

describe.skipIf(!CAN_RUN)("pictures", () => {
  let stage: Stage;
  beforeAll(async () => {
    mkdirSync(FOLDER, { recursive: true });
    stage = await Stage.start();
  });
  afterAll(async () => {
    await stage?.stop();
  });

  test.each(Object.keys(LOOKS))("%s", async (look) => {
    const { page, faults } = await stage.open("#/", LOOKS[look]);
    for (const [name, hash] of Object.entries(VIEWS)) {
      await page.goto(`${stage.address}${hash}`);
      await page.waitForTimeout(SETTLED_MS);
      const path = `${FOLDER}${name}-${look}.png`;
      await page.screenshot({ path });
      expect(readFileSync(path).byteLength, name).toBeGreaterThan(5000);
    }
    expect(faults).toEqual([]);
    await page.context().close();
  });
});
