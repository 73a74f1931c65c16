/**
 * The page before a gateway with 2,000 connections and 500 streams, each published once a second: what its lists cost its thread.
 *
 * `npm run bench -- crowd`; `BENCH_SECONDS` (10) says how long each view is looked at.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PYTHON, ROOT, type RunningGateway, startGateway } from "../../clients/js/tests/gateway.ts";
import { launch } from "../tests/browser/viewing.ts";
import { threadCost } from "./thread_cost.ts";

const SECONDS = Number(process.env.BENCH_SECONDS ?? 10);
const CONNECTIONS = 2000;
const STREAMS = 500;
const VIEWS: Readonly<Record<string, string>> = {
  overview: "#/",
  streams: "#/streams",
  connections: "#/connections",
};

let browser: Browser;
let gateway: RunningGateway;
let crowd: ChildProcess;

beforeAll(async () => {
  [browser, gateway] = await Promise.all([launch(), startGateway()]);
  const program = fileURLToPath(new URL("crowd.py", import.meta.url));
  crowd = spawn(PYTHON, [program, gateway.url, `${CONNECTIONS}`, `${STREAMS}`], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const line of createInterface(crowd.stdout ?? process.stdin)) {
    if (line === "there") {
      break;
    }
  }
}, 180_000);

afterAll(async () => {
  crowd?.kill("SIGKILL");
  await browser?.close();
  await gateway?.stop();
});

test.each(Object.entries(VIEWS))("%s", async (name, hash) => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  await page.goto(`${gateway.adminUrl}/${hash}`);
  await page.locator("tbody tr").nth(3).waitFor();
  await page.waitForTimeout(3000);
  const { perFrameMs, framesPerS } = await threadCost(page, SECONDS * 1000);
  process.stdout.write(
    `${name}: ${perFrameMs.toFixed(2)} ms of the page's thread a frame, ${framesPerS.toFixed(0)} a second\n`,
  );
  expect(framesPerS).toBeGreaterThan(1);
  await context.close();
});
