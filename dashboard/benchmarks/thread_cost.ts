/** Cost of a page for its own thread, as Chromium counts it. */

import type { CDPSession, Page } from "playwright";

/** Return the time for which the page's thread is busy, by frame, and the frames that it draws. */
export async function threadCost(page: Page, forMs: number): Promise<{ perFrameMs: number; framesPerS: number }> {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  const frames = page.evaluate(async (ms) => {
    let count = 0;
    const end = performance.now() + ms;
    while (performance.now() < end) {
      await new Promise(requestAnimationFrame);
      count++;
    }
    return count;
  }, forMs);
  const before = await taskSeconds(session);
  const count = await frames;
  const busyMs = (await taskSeconds(session)) - before;
  return { perFrameMs: (busyMs * 1000) / count, framesPerS: (count * 1000) / forMs };
}

async function taskSeconds(session: CDPSession): Promise<number> {
  const { metrics } = await session.send("Performance.getMetrics");
  return metrics.find(({ name }) => name === "TaskDuration")?.value ?? 0;
}
