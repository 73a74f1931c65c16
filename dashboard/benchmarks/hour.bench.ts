/**
 * The viewer open for an hour at 30 Hz, in half an hour at 60: a state as a heat map, and numbers as a time series, a page each.
 *
 * `npm run bench -- hour`; `BENCH_VERSIONS` (108,000) says how many versions are received. Memory is read ten times, behind a collection of
 * garbage in the pages and their workers: that of Chromium's renderers, by the system, and the heaps of the pages. It is flat if the
 * last third of the readings has at most a tenth more than the first. Before the first reading all that is kept has its room: 100,000 points
 * of the series, and the versions that can be stepped back through.
 */

import { readFileSync } from "node:fs";
import type { Browser, CDPSession, Page } from "playwright";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RunningGateway, startGateway } from "../../clients/js/tests/gateway.ts";
import { fact, kill, launch, open, publish } from "../tests/browser/viewing.ts";

const VERSIONS = Number(process.env.BENCH_VERSIONS ?? 108_000);
const RATE_HZ = 60;
const FIRST = 2000;
const READINGS = 10;
const MAX_GROWTH = 1.1;
const MB = 1e6;

let browser: Browser;
let gateway: RunningGateway;

beforeAll(async () => {
  [browser, gateway] = await Promise.all([launch("--js-flags=--expose-gc"), startGateway()]);
});

afterAll(async () => {
  await browser?.close();
  await gateway?.stop();
});

/** Memory behind a collection of garbage. */
interface Reading {
  readonly versions: number;
  readonly renderersBytes: number;
  readonly heapsBytes: number;
}

test("an hour at 30 Hz", { timeout: 2 * (VERSIONS / RATE_HZ) * 1000 + 120_000 }, async () => {
  const publisher = await publish(gateway.url, "steady", `${RATE_HZ}`);
  const errors: string[] = [];
  const pages = [
    await open(browser, gateway.adminUrl, `view/steady?view=heat&hz=${RATE_HZ}`, errors),
    await open(browser, gateway.adminUrl, "view/curve?x=time", errors),
  ];
  await pages[1].getByRole("row").filter({ hasText: "view/curve" }).waitFor();
  await kill(await publish(gateway.url, "points"));
  await pages[1].getByRole("row").filter({ hasText: "100,000" }).waitFor();
  const session = await browser.newBrowserCDPSession();
  const readings: Reading[] = [];
  for (let index = 0; index < READINGS; index++) {
    const wanted = FIRST + (index * (VERSIONS - FIRST)) / (READINGS - 1);
    let versions = 0;
    while (versions < wanted) {
      await pages[0].waitForTimeout(500);
      versions = await received(pages[0]);
    }
    const reading = { versions, ...(await memory(session, pages)) };
    readings.push(reading);
    process.stdout.write(
      `${versions} versions: renderers ${(reading.renderersBytes / MB).toFixed(1)} MB, ` +
        `heaps of the pages ${(reading.heapsBytes / MB).toFixed(1)} MB\n`,
    );
  }
  const third = Math.floor(READINGS / 3);
  for (const name of ["renderersBytes", "heapsBytes"] as const) {
    const [first, last] = [readings.slice(0, third), readings.slice(-third)].map((part) =>
      mean(part.map((each) => each[name])),
    );
    process.stdout.write(`${name}: ${(last / first).toFixed(3)} times that of the first third\n`);
    expect(last).toBeLessThan(first * MAX_GROWTH);
  }
  expect(errors).toEqual([]);
  await kill(publisher);
});

/** Return the messages that the viewer of a page has received. */
async function received(page: Page): Promise<number> {
  return Number.parseInt((await fact(page, "In total")).replaceAll(",", ""), 10) || 0;
}

async function memory(session: CDPSession, pages: readonly Page[]): Promise<Omit<Reading, "versions">> {
  let heapsBytes = 0;
  for (const page of pages) {
    await page.evaluate("gc()");
    for (const worker of page.workers()) {
      await worker.evaluate("gc()");
    }
    heapsBytes += await page.evaluate<number>("performance.memory.usedJSHeapSize");
  }
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const renderers = processInfo.filter(({ type }) => type === "renderer");
  return { heapsBytes, renderersBytes: renderers.reduce((sum, { id }) => sum + residentBytes(id), 0) };
}

function residentBytes(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) * 1024;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
