/** The page before what is seldom there: the longest names, numbers of no connection, and a gateway that has started anew. */

import type { Page } from "playwright";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CAN_RUN, Stage } from "./stage.ts";

/** Return pixels by which the page is wider than the window. */
function excessPx(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
}

describe.skipIf(!CAN_RUN)("the page", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.start();
  });
  afterAll(async () => {
    await stage?.stop();
  });

  test("breaks names that are as long as they may be", async () => {
    const name = `w/${"n".repeat(253)}`;
    for (const hash of [`#/streams/${name}`, `#/collaboration/${"n".repeat(253)}`]) {
      for (const width of [1280, 390]) {
        const { page } = await stage.open(hash, { viewport: { width, height: 844 } });
        await page.locator("h1").waitFor();
        expect(await excessPx(page), `${hash} at ${width}`).toBe(0);
        await page.context().close();
      }
    }
  });

  test.each(["abc", "1.5", "0", "99999999999999999999"])("knows that no connection is '%s'", async (number) => {
    const { page, faults } = await stage.open(`#/connections/${number}`);
    await page.getByText("This connection is gone").waitFor();
    expect(faults).toEqual([]);
    await page.context().close();
  });

  test("does not ask on about a client whose number another one has got", async () => {
    const { page } = await stage.open("#/connections/1");
    await page.getByRole("button", { name: "Disconnect…" }).click();
    const asked = await page.locator("dialog h2").textContent();
    // As behind a restart, which would give the number to whoever comes first.
    await page.route("**/api/v1/connections?*", async (route) => {
      const response = await route.fetch();
      const { connections } = await response.json();
      await route.fulfill({
        json: { connections: connections.map((each: object) => ({ ...each, client_id: "other" })) },
      });
    });
    await page.getByRole("heading", { name: "other" }).waitFor();
    expect(asked).not.toBe("Disconnect other?");
    expect(await page.locator("dialog").count()).toBe(0);
    await page.context().close();
  });
});
