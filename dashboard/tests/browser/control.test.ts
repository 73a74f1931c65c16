/** Orders to the gateway from the page in Chromium. */

import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { CAN_RUN, Stage } from "./stage.ts";

/** Ask again and again until the answer is a success. */
async function waitedFor(ask: () => Promise<Response>): Promise<Response> {
  return vi.waitFor(
    async () => {
      const response = await ask();
      expect(response.status).toBe(200);
      return response;
    },
    { timeout: 10_000 },
  );
}

describe.skipIf(!CAN_RUN)("the control of the gateway", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.start();
  });
  afterAll(async () => {
    await stage?.stop();
  });

  test("a command comes to a program in Python, and is kept for another time", async () => {
    const { page, faults } = await stage.open("#/control");
    await page.getByLabel("Stream", { exact: true }).fill("train/do");
    await page.getByLabel("Headers, as JSON").fill('{"action": "pause"}');
    await page.getByLabel("Tensor").selectOption("int64");
    await page.getByLabel("Numbers").fill("[[9223372036854775807, -1]]");
    await page.getByRole("button", { name: "Publish the command" }).click();
    await page.getByText("as offset 0").waitFor();
    await page.getByText("Its commands go to 1 client: all acknowledged.").waitFor();
    const response = await waitedFor(() => fetch(new URL("/api/v1/streams/train/done", stage.address)));
    const file = await response.arrayBuffer();
    expect([...new BigInt64Array(file.slice(-16))]).toEqual([2n ** 63n - 1n, -1n]);
    await page.reload();
    await page.getByRole("button", { name: "Edit" }).click();
    expect(await page.getByLabel("Numbers").inputValue()).toBe("[[9223372036854775807, -1]]");
    expect(faults).toEqual([]);
    await page.context().close();
  });

  test("what is wrong with a command stands beside it, also what the gateway says", async () => {
    const { page } = await stage.open("#/control?stream=train/weights");
    await page.getByText("This is a stream of kind state").waitFor();
    await page.getByRole("button", { name: "Publish the command" }).click();
    await page.getByText("the command is empty").waitFor();
    await page.getByLabel("Headers, as JSON").fill('{"action": "pause"}');
    await page.getByRole("button", { name: "Publish the command" }).click();
    await page.getByText("train/weights is of kind state").waitFor();
    await page.getByRole("cell", { name: "refused" }).waitFor();
    await page.context().close();
  });

  test("the level of the log is set, its lines come, and a filter is in the address", async () => {
    const { page } = await stage.open("#/control?contains=no such line");
    await page.getByLabel("The gateway logs").selectOption("debug");
    await expect.poll(() => stage.read("/api/v1/log/level")).toEqual({ level: "debug" });
    await page.getByText("No line matches.").waitFor();
    await page.getByLabel("Search the log").fill("");
    await page.locator(".log-line").first().waitFor();
    await page.getByLabel("Show").selectOption("info");
    expect(new URL(page.url()).hash).toBe("#/control?level=info");
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("button", { name: "Go on" }).waitFor();
    await page.context().close();
  });

  test("a drain is confirmed, watched, and ends the gateway", async () => {
    const { page } = await stage.open("#/control");
    await page.getByRole("button", { name: "Drain…" }).click();
    await page.getByRole("dialog").getByPlaceholder("wss://").fill("nowhere");
    await page.getByRole("button", { name: "Stop the gateway" }).click();
    await page.getByText("is not a gateway's URL").waitFor();
    await page.getByRole("dialog").getByPlaceholder("wss://").fill("");
    await page.getByRole("button", { name: "Stop the gateway" }).click();
    await page.getByText(/still connected|No client is connected|The gateway has ended/).waitFor();
    await page.getByText("The gateway has ended.").waitFor();
    await page.context().close();
  });
});
