/**
 * Arrays of float32 received by a page in Chromium: by the client with its socket in a worker or in the page's thread, and by a
 * page that has a `WebSocket` and `Float32Array` by hand.
 */

import { inject, test } from "vitest";
import { commands } from "vitest/browser";
import { connect } from "../src/client.ts";
import type { Load } from "./commands.ts";

const SECONDS = 5;

type Receive = (load: Load, received: (numbers: Float32Array) => void) => Promise<() => unknown>;

let runs = 0;

function byClient(worker: boolean): Receive {
  return async (load, received) => {
    const url = inject("url");
    const stream = `bench/${++runs}`;
    const client = await connect(url, { worker });
    await client.subscribe(stream, { onMessage: ({ tensor }) => received(tensor.data as Float32Array) });
    void commands.publishLoad(url, stream, load);
    return () => client.close();
  };
}

const byHand: Receive = async (load, received) => {
  const socket = new WebSocket(await commands.plainLoad(load));
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => received(new Float32Array(data));
  return () => socket.close();
};

const WAYS: Record<string, Receive> = {
  "client, worker": byClient(true),
  "client, page's thread": byClient(false),
  "by hand": byHand,
};

/** Draw nothing once a frame, and note the time of each. */
function watchFrames(): { readonly gaps: number[]; stop(): void } {
  const gaps: number[] = [];
  let last = performance.now();
  let handle = requestAnimationFrame(function frame(now) {
    gaps.push(now - last);
    last = now;
    handle = requestAnimationFrame(frame);
  });
  return { gaps, stop: () => cancelAnimationFrame(handle) };
}

async function measure(way: string, load: Load): Promise<void> {
  let bytes = 0;
  let count = 0;
  let sum = 0;
  let [firstMs, lastMs] = [0, 0];
  let frames = watchFrames();
  let started: Promise<number> | undefined;
  let stop: () => unknown = () => undefined;
  await new Promise<void>((resolve) => {
    WAYS[way](load, (numbers) => {
      if (numbers.length === 1) {
        resolve();
        return;
      }
      if (!started) {
        frames.stop();
        frames = watchFrames();
        started = commands.workedS();
        firstMs = performance.now();
      }
      bytes += numbers.byteLength;
      count++;
      sum += numbers[0];
      lastMs = performance.now();
    }).then((end) => {
      stop = end;
    });
  });
  const worked = (await commands.workedS()) - ((await started) ?? 0);
  frames.stop();
  await stop();
  const seconds = (lastMs - firstMs) / 1000;
  const gaps = frames.gaps.sort((a, b) => a - b);
  const part = (share: number) => gaps[Math.floor(share * (gaps.length - 1))]?.toFixed(1);
  await commands.print(
    `| ${way} | ${(bytes / seconds / 1e6).toFixed(0)} | ${(count / seconds).toFixed(0)} | ` +
      `${((1000 * worked) / gaps.length).toFixed(2)} | ${part(0.5)} | ${part(0.95)} | ${part(1)} |${sum < 0 ? " " : ""}`,
  );
}

test.each([
  ["1 MB, as fast as it goes", { bytes: 1_000_000, hz: 0, seconds: SECONDS }],
  ["1 MB, 50 a second", { bytes: 1_000_000, hz: 50, seconds: SECONDS }],
  ["4 MB, 10 a second", { bytes: 4_000_000, hz: 10, seconds: SECONDS }],
  ["40 bytes, as fast as it goes", { bytes: 40, hz: 0, seconds: SECONDS }],
])(
  "%s",
  async (name, load) => {
    await commands.print(
      `\n${name}\n\n| way | MB/s | arrays/s | main thread, ms a frame | gap of frames p50, ms | p95 | largest |`,
    );
    await commands.print("|---|---|---|---|---|---|---|");
    for (const way of Object.keys(WAYS)) {
      await measure(way, load);
    }
  },
  120_000,
);
