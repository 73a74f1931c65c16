/** Every view before a running `frys demo`: what the page shows is what the API tells. */

import type { Page } from "playwright";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { ConnectionData } from "../../src/api/connections.ts";
import type { StreamData } from "../../src/api/streams.ts";
import type { SummaryData } from "../../src/api/summary.ts";
import type { WorkflowData } from "../../src/api/workflows.ts";
import { CAN_RUN, DEMO, Stage } from "./stage.ts";
import { fact } from "./viewing.ts";

const POLL = { timeout: 20_000, interval: 100 };
const WEIGHTS = "digits/weights";

/** Return what a figure shows, without blanks. */
async function figure(page: Page, label: string): Promise<string> {
  const found = page.locator(".figure").filter({ has: page.getByText(label, { exact: true }) });
  return ((await found.locator(".figure-value").textContent()) ?? "").replaceAll(/\s/g, "");
}

/** Return the cells of the row of a table that a name is in, by the heads of their columns. */
async function row(page: Page, name: string): Promise<Record<string, string>> {
  const table = page.getByRole("table").filter({ has: page.getByText(name, { exact: true }) });
  const cells = table.getByRole("row").filter({ has: page.getByText(name, { exact: true }) });
  const heads = await table.getByRole("columnheader").allInnerTexts();
  const texts = await cells.first().getByRole("cell").allInnerTexts();
  return Object.fromEntries(heads.map((head, index) => [head.trim(), texts[index]?.trim() ?? ""]));
}

describe.skipIf(!CAN_RUN)("frys demo", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await Stage.start(DEMO);
    const hasAll = async (): Promise<void> => {
      expect(await streams()).toHaveLength(8);
    };
    await vi.waitFor(hasAll, { timeout: 40_000, interval: 100 });
  });
  afterAll(async () => {
    await stage?.stop();
  });

  async function streams(): Promise<readonly StreamData[]> {
    return (await stage.read<{ readonly streams: readonly StreamData[] }>("/api/v1/streams")).streams;
  }

  async function offsetOf(name: string): Promise<number> {
    return ((await streams()).find((stream) => stream.name === name)?.next_offset ?? 0) - 1;
  }

  /** Open a view, look at it, and close it; nothing may have gone wrong, and no request have left the machine. */
  async function view(hash: string, look: (page: Page) => Promise<void>): Promise<void> {
    const { page, faults } = await stage.open(hash);
    await look(page);
    expect(await page.getByRole("alert").count()).toBe(0);
    expect(faults).toEqual([]);
    await page.context().close();
  }

  test("overview", async () => {
    await view("#/", async (page) => {
      await page.getByText("Busiest streams").waitFor();
      const summary = await stage.read<SummaryData>("/api/v1/summary");
      const connected = Object.values(summary.connections).reduce((sum, count) => sum + count, 0);
      await expect.poll(() => figure(page, "Connections"), POLL).toBe(`${connected}`);
      expect(await page.getByText(/\d agent, \d panel/).count()).toBe(1);
      await page.getByText(/^8 streams, \d+ subscriptions/).waitFor();
      expect(await figure(page, "Overload")).toBe(summary.overload.stage);
      await expect.poll(() => figure(page, "Latency, median"), POLL).toMatch(/^[\d.]+(µs|ms|s)$/);
      expect(await figure(page, "Behind")).toBe(`${summary.lagging}`);
      expect(summary.latency.p50_s).toBeGreaterThan(0);
    });
  });

  test("streams", async () => {
    await view("#/streams?sort=name", async (page) => {
      await page.getByText(WEIGHTS).waitFor();
      const found = await streams();
      expect(await page.locator("tbody tr td:first-child").allTextContents()).toEqual(
        found.map(({ name }) => name).toSorted(),
      );
      const weights = found.find(({ name }) => name === WEIGHTS);
      const shown = await row(page, WEIGHTS);
      expect(shown.Kind).toBe(weights?.kind);
      expect(shown.Receivers).toBe(`${(weights?.subscribers ?? 0) + (weights?.viewers ?? 0)}`);
      expect(shown.Dropped).toBe(`${weights?.dropped}`);
    });
  });

  test.each(["numbers", "line", "heat", "histogram"])("a stream as %s", async (mode) => {
    await view(`#/streams/${WEIGHTS}?view=${mode}`, async (page) => {
      const before = await offsetOf(WEIGHTS);
      await expect.poll(async () => Number(await fact(page, "Offset")), POLL).toBeGreaterThanOrEqual(before);
      const shown = Number(await fact(page, "Offset"));
      expect(shown).toBeLessThanOrEqual(await offsetOf(WEIGHTS));
    });
  });

  test("a stream of numbers as a time series", async () => {
    await view("#/streams/digits/loss?with=digits/accuracy", async (page) => {
      const curve = page.getByRole("row").filter({ hasText: "digits/accuracy" });
      await expect
        .poll(async () => Number.parseFloat(lastNumber((await curve.textContent()) ?? "")), POLL)
        .toBeGreaterThan(0);
    });
  });

  test("connections, and one of them", async () => {
    const { connections } = await stage.read<{ readonly connections: readonly ConnectionData[] }>(
      "/api/v1/connections",
    );
    const trainer = connections.find(({ client_id }) => client_id === "trainer");
    await view("#/connections", async (page) => {
      await page.getByRole("link", { name: "trainer" }).waitFor();
      // Pages of the tests before may still be on their way out.
      const names = await page.locator("tbody tr td:first-child").allInnerTexts();
      expect(names).toEqual(expect.arrayContaining(["demo-view", "evaluator", "trainer"]));
      expect((await row(page, "trainer")).Type).toBe(trainer?.client_type);
    });
    await view(`#/connections/${trainer?.peer}`, async (page) => {
      await page.getByRole("heading", { name: "trainer" }).waitFor();
      expect(await page.getByText(trainer?.address ?? "none").count()).toBeGreaterThan(0);
    });
  });

  test("collaboration", async () => {
    await expect
      .poll(async () => (await stage.read<Listed>("/api/v1/workflows")).workflows[0]?.edges.length ?? 0, POLL)
      .toBeGreaterThan(2);
    const [workflow] = (await stage.read<Listed>("/api/v1/workflows")).workflows;
    await view("#/collaboration", async (page) => {
      await page.getByRole("link", { name: "digits" }).waitFor();
      expect((await row(page, "digits")).Clients).toBe(`${workflow?.clients}`);
    });
    await view("#/collaboration/digits", async (page) => {
      await page.getByText("Traffic", { exact: true }).waitFor();
      const sources = await page.getByRole("table", { name: "" }).first().locator("tbody tr").allInnerTexts();
      expect(sources.length).toBe(workflow?.edges.length);
    });
  });

  test.each([
    ["#/optimizer", "does not learn"],
    ["#/tasks", "acknowledged"],
    ["#/control", "Publish a command"],
  ])("%s says what there is, or how to get it", async (hash, text) => {
    await view(hash, async (page) => {
      await page.getByText(text).first().waitFor();
    });
  });
});

interface Listed {
  readonly workflows: readonly WorkflowData[];
}

function lastNumber(text: string): string {
  return text.match(/[\d.]+/g)?.at(-1) ?? "";
}
