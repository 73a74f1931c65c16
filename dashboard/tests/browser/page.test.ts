/** The page in Chromium, before a real gateway with traffic. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Page } from "playwright";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ConnectionData } from "../../src/api/connections.ts";
import type { StreamData } from "../../src/api/streams.ts";
import { CAN_RUN, NEXT_VERSION, Stage, UPDATED } from "./stage.ts";
import { fact } from "./viewing.ts";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** Each view, and a text by which it is seen to be there. */
const VIEWS = [
  ["#/", "Busiest streams"],
  ["#/streams", "train/weights"],
  ["#/streams/train/weights", "Receivers"],
  ["#/connections", "watcher"],
  ["#/collaboration", "Pattern"],
  ["#/collaboration/train", "Traffic"],
  ["#/optimizer", "does not learn"],
  ["#/tasks", "plan/tasks"],
  ["#/control", "Publish a command"],
  ["#/nothing", "There is no such view"],
] as const;

interface Finding {
  readonly id: string;
  readonly impact: string | null;
  readonly nodes: readonly { readonly html: string }[];
}

/** Return the findings of axe that are serious, in words. The page's policy refuses scripts, and takes those of DevTools. */
async function seriousFindings(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate<{ readonly violations: readonly Finding[] }>("axe.run()");
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}

describe.skipIf(!CAN_RUN)("the page", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.start();
  });
  afterAll(async () => {
    await stage?.stop();
  });

  test.each(VIEWS)("%s is there, without errors or strangers, for everybody", async (hash, text) => {
    for (const colorScheme of ["light", "dark"] as const) {
      const { page, faults } = await stage.open(hash, { colorScheme });
      await page.getByText(text).first().waitFor();
      expect(await seriousFindings(page)).toEqual([]);
      expect(faults).toEqual([]);
      await page.context().close();
    }
  });

  test("no view scrolls sideways on a phone", async () => {
    const { page } = await stage.open("#/", { viewport: { width: 390, height: 844 } });
    for (const [hash, text] of VIEWS) {
      await page.goto(`${stage.address}${hash}`);
      await page.getByText(text).first().waitFor();
      expect(await page.evaluate("document.documentElement.scrollWidth"), hash).toBe(390);
    }
    await page.context().close();
  });

  test("numbers are those of the API", async () => {
    const { page } = await stage.open("#/streams?sort=name");
    await page.getByText("train/weights").waitFor();
    const { streams } = await stage.read<{ readonly streams: readonly StreamData[] }>("/api/v1/streams");
    const names = await page.locator("tbody tr td:first-child").allTextContents();
    expect(names).toEqual(streams.map(({ name }) => name).toSorted());
    const { connections } = await stage.read<{ readonly connections: readonly ConnectionData[] }>(
      "/api/v1/connections",
    );
    await page.goto(`${stage.address}#/connections?type=agent`);
    await page.getByText("3 rows").waitFor();
    expect(connections.filter(({ client_type }) => client_type === "agent").length).toBe(3);
    await page.context().close();
  });

  test("the list of streams has room for all its columns on a small screen", async () => {
    const { page } = await stage.open("#/streams");
    await page.getByText("plan/tasks.dead").waitFor();
    const box = page.getByRole("region", { name: "Streams" });
    const hidden = await box.evaluate((element) => element.scrollWidth - element.clientWidth);
    expect(hidden).toBe(0);
    await page.context().close();
  });

  test("a search and an order are in the address, and are found again by it", async () => {
    const { page } = await stage.open("#/streams");
    await page.getByText("train/weights").waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("loss");
    await page.getByRole("button", { name: "Messages" }).click();
    await page.getByText("1 row").waitFor();
    expect(new URL(page.url()).hash).toBe("#/streams?search=loss&sort=-messages");
    await page.reload();
    await page.getByText("1 row").waitFor();
    expect(await page.locator("th[aria-sort=descending]").textContent()).toContain("Messages");
    await page.context().close();
  });

  test("a workflow tells its clients, with a way to each, and its members with what they show", async () => {
    const { page } = await stage.open("#/collaboration/train");
    await page.getByText(/pipeline of \d+ clients?( and \d+ panels?)?,/).waitFor();
    const members = page.getByRole("region", { name: "Members" });
    await expect.poll(() => members.getByText(/^\{"step":\d+\}$/).count()).toBe(1);
    expect(await members.getByText('{"gpu":3}').count()).toBe(1);
    await page.getByRole("region", { name: "Clients of the workflow" }).getByRole("link", { name: "trainer" }).click();
    await page.getByRole("heading", { name: "trainer" }).waitFor();
    await page.goto(`${stage.address}#/collaboration/sim`);
    await page.getByText("Nobody has joined").waitFor();
    await page.context().close();
  });

  test("a client is pinged, and disconnected when that was confirmed", async () => {
    const { page } = await stage.open("#/connections?search=watcher");
    await page.getByRole("link", { name: "watcher" }).click();
    const address = page.url();
    await page.getByRole("button", { name: "Ping" }).click();
    await page.getByRole("button", { name: /Ping [\d.]+ (µs|ms)/ }).waitFor();
    await page.getByRole("button", { name: "Disconnect…" }).click();
    await page.getByRole("button", { name: "Disconnect the client" }).click();
    await page.getByText("This connection is gone").waitFor();
    await page.goto(`${stage.address}#/connections?search=watcher`);
    await page.getByRole("link", { name: "watcher" }).click();
    expect(page.url()).not.toBe(address);
    await page.context().close();
  });

  test("a .npy file is published on the page of a stream, and what is none is refused with the reason", async () => {
    const { page } = await stage.open("#/streams/sim/field");
    const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }".padEnd(117);
    const file = Buffer.concat([
      Buffer.from([0x93, ...Buffer.from("NUMPY"), 1, 0, 118, 0]),
      Buffer.from(`${header}\n`),
      Buffer.alloc(8),
    ]);
    const field = page.getByLabel("A .npy file to publish");
    await field.setInputFiles({ name: "two.npy", mimeType: "application/octet-stream", buffer: file });
    await page.getByText(/two\.npy is message [\d,]+/).waitFor();
    await field.setInputFiles({
      name: "none.npy",
      mimeType: "application/octet-stream",
      buffer: Buffer.from("no array at all, but text"),
    });
    await page.getByRole("alert").waitFor();
    await page.context().close();
  });

  test("a dead letter is sent again, once", async () => {
    const { page } = await stage.open("#/tasks");
    await page.getByRole("button", { name: "Send again", exact: true }).first().click();
    await page
      .getByText(/sent at \d/)
      .first()
      .waitFor();
    await page.context().close();
  });

  test("a script that somebody brings into the page is refused by its policy", async () => {
    const { page, faults } = await stage.open("#/");
    await page.getByText("Overload").waitFor();
    await page.evaluate(() => {
      const script = document.createElement("script");
      script.textContent = "window.injected = true";
      document.head.append(script);
      document.body.insertAdjacentHTML("beforeend", "<img src='x:' onerror='window.injected = true'>");
    });
    await expect
      .poll(() => faults.filter((fault) => fault.includes("Content Security Policy")).length)
      .toBeGreaterThan(0);
    expect(await page.evaluate("window.injected")).toBeUndefined();
    await page.context().close();
  });

  test("a gateway that is killed is told of, and the page heals when it is back", async () => {
    const { page } = await stage.open("#/streams");
    await page.getByText("train/weights").waitFor();
    await stage.kill();
    await page.getByText("The gateway cannot be reached").waitFor();
    expect(await page.getByText("train/weights").count(), "what was known stays").toBe(1);
    await stage.run();
    await page.getByText("The gateway cannot be reached").waitFor({ state: "detached" });
    await page.getByText("train/weights").waitFor();
    await page.context().close();
  });

  test("a gateway that answers nothing, with its connections open, is told of, and the page heals", async () => {
    const { page } = await stage.open("#/streams/train/weights");
    await expect.poll(async () => Number(await fact(page, "Offset"))).toBeGreaterThan(0);
    stage.suspend("SIGSTOP");
    await page.getByText("The gateway cannot be reached").waitFor();
    expect(await page.getByText("train/weights").count(), "what was known stays").toBeGreaterThan(0);
    const offset = Number(await fact(page, "Offset"));
    stage.suspend("SIGCONT");
    await page.getByText("The gateway cannot be reached").waitFor({ state: "detached" });
    await expect.poll(async () => Number(await fact(page, "Offset")), { timeout: 20_000 }).toBeGreaterThan(offset);
    await page.context().close();
  });

  test("a gateway that is back with another version is told of, until the page is loaded again", async () => {
    const { page } = await stage.open("#/streams");
    await page.getByText("train/weights").waitFor();
    await stage.kill();
    await stage.run(UPDATED);
    await page.getByText(`The gateway runs version ${NEXT_VERSION} now, and this page is of`).waitFor();
    await page.getByRole("button", { name: "Load the page again" }).click();
    await page.getByText(`Version ${NEXT_VERSION}`).waitFor();
    expect(await page.getByText("and this page is of").count()).toBe(0);
    await page.context().close();
    await stage.kill();
    await stage.run();
  });
});
