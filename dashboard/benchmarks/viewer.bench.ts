/**
 * Time from publish to pixels of a heat map, and what the viewer costs the page's thread: 1,000 x 1,000 float32 at 30 Hz.
 *
 * `npm run bench -- viewer` prints medians and 95th percentiles; `BENCH_SECONDS` (10) says how long each part takes. Each version has its
 * number in a corner, which is a gray value on the canvas: the page reads that pixel in every frame. What it costs the thread is
 * measured a second time, without reading.
 */

import { createInterface } from "node:readline";
import type { Browser, Page } from "playwright";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RunningGateway, startGateway } from "../../clients/js/tests/gateway.ts";
import { kill, launch, open, publish } from "../tests/browser/viewing.ts";
import { threadCost } from "./thread_cost.ts";

const SECONDS = Number(process.env.BENCH_SECONDS ?? 10);
const ADDRESS = "view/frames?map=gray&range=0:255";

let browser: Browser;
let gateway: RunningGateway;

beforeAll(async () => {
  [browser, gateway] = await Promise.all([launch(), startGateway()]);
});

afterAll(async () => {
  await browser?.close();
  await gateway?.stop();
});

interface Seen {
  readonly gray: number;
  readonly atMs: number;
}

test("publish to pixels, and the page's thread", async () => {
  const publisher = await publish(gateway.url, "frames");
  const publishedMs = new Map<number, number>();
  const lines = createInterface(publisher.stdout ?? process.stdin);
  lines.on("line", (line) => {
    const [number, timeS] = line.split(" ").map(Number);
    publishedMs.set(number, timeS * 1000);
  });
  const page = await open(browser, gateway.adminUrl, ADDRESS);
  await page.getByText("float32 1,000 × 1,000").waitFor();
  await page.waitForTimeout(2000);

  const seen = await pixelsSeen(page, SECONDS * 1000);
  const latencies = latenciesOf(seen, publishedMs);
  const cost = await threadCost(page, SECONDS * 1000);
  const text = [
    `versions seen a second: ${(latencies.length / SECONDS).toFixed(1)}`,
    `publish to pixels, ms: median ${quantile(latencies, 0.5)}, 95 % ${quantile(latencies, 0.95)}, most ${quantile(latencies, 1)}`,
    `page's thread: ${cost.perFrameMs.toFixed(2)} ms a frame, ${cost.framesPerS.toFixed(0)} frames a second`,
  ];
  process.stdout.write(`${text.join("\n")}\n`);
  expect(latencies.length).toBeGreaterThan(SECONDS);
  await kill(publisher);
});

/** Read the corner of the heat map in every frame, for a time. */
async function pixelsSeen(page: Page, forMs: number): Promise<Seen[]> {
  return page.locator(".viewer-canvas canvas").evaluate(async (drawn: HTMLCanvasElement, ms: number) => {
    const { width, height } = drawn;
    const perElement = Math.min(width, height) / 1000;
    const corner = { x: Math.max(0, (width - height) / 2), y: Math.max(0, (height - width) / 2) };
    const copy = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
    const context = copy.getContext("2d", { willReadFrequently: true });
    const found: { gray: number; atMs: number }[] = [];
    const end = performance.now() + ms;
    while (performance.now() < end) {
      await new Promise(requestAnimationFrame);
      context?.drawImage(drawn, corner.x + 10 * perElement, corner.y + 10 * perElement, 1, 1, 0, 0, 1, 1);
      const gray = context?.getImageData(0, 0, 1, 1).data[0] ?? 0;
      if (gray !== found.at(-1)?.gray) {
        found.push({ gray, atMs: performance.timeOrigin + performance.now() });
      }
    }
    return found;
  }, forMs);
}

/** Return the ages of versions when their pixels were seen first; the number of each is the last one published with this gray. */
function latenciesOf(seen: readonly Seen[], publishedMs: ReadonlyMap<number, number>): number[] {
  const last = Math.max(...publishedMs.keys());
  return seen.slice(1).flatMap(({ gray, atMs }) => {
    for (let number = last - ((((last - gray) % 256) + 256) % 256); number >= 0; number -= 256) {
      const timeMs = publishedMs.get(number);
      if (timeMs !== undefined && timeMs <= atMs) {
        return [atMs - timeMs];
      }
    }
    return [];
  });
}

function quantile(values: readonly number[], share: number): string {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN).toFixed(1);
}
