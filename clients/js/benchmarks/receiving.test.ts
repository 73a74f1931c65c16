/**
 * Arrays of float32 received by a page in Chromium: by the client with its socket in a worker or in the page's thread, by a page
 * with a `WebSocket` and `Float32Array` by hand, and by Socket.IO's client with its msgpack parser.
 *
 * By the client they come from a publisher through a gateway; by the others from a server, with no process in between. The same
 * page by hand behind the same gateway and publisher tells what the client itself costs.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { afterAll, afterEach, beforeAll, test } from "vitest";
import { CHROMIUM } from "../tests/browser/chromium.ts";
import { PYTHON, ROOT, type RunningGateway, startGateway } from "../tests/gateway.ts";
import { Chromium } from "./chromium.ts";
import { ARRAYS, arrayOf, isThroughGateway, type Load, NAMES, type Run, WAYS, type Way } from "./ways.ts";

const RUNS = Number(process.env.BENCH_RUNS ?? 7);
const SECONDS = Number(process.env.BENCH_SECONDS ?? 2);
const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const FILES = fileURLToPath(new URL("../dist/browser/", import.meta.url));
/** The page by hand reads whole messages only, neither chunks nor batches. */
const NOT_RELAYED = WAYS.filter((way) => way !== "relay");
const HTML = '<!doctype html><title>benchmark</title><script type="module" src="/page.js"></script>';

let gateway: RunningGateway;
let chromium: Chromium;
let server: Server;
let address = "";
/** Takes an event that the page tells, and answers it when the promise is done. */
let told: (event: string) => Promise<unknown> = () => Promise.resolve();
let streams = 0;
const senders: ChildProcess[] = [];

beforeAll(async () => {
  if (!CHROMIUM || !existsSync(`${FILES}frys.js`)) {
    throw new Error("this needs Chromium, or CHROMIUM with its path, and `npm run build` before");
  }
  const bundle = await rolldown({ input: `${FOLDER}page.ts`, platform: "browser", external: "/frys.js" });
  const { output } = await bundle.generate({ format: "esm" });
  const texts = new Map([
    ["/", HTML],
    ["/page.js", output[0].code],
  ]);
  server = createServer(({ url = "/", method }, response) => {
    if (method === "POST") {
      told(url.slice(1)).finally(() => response.end());
      return;
    }
    const path = `${FILES}${url.slice(1)}`;
    const text = texts.get(url) ?? (existsSync(path) ? readFileSync(path) : undefined);
    const type = url === "/" ? "text/html" : "text/javascript";
    response.writeHead(text === undefined ? 404 : 200, { "content-type": type }).end(text);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  gateway = await startGateway();
  chromium = await Chromium.start(CHROMIUM);
}, 60_000);

afterEach(() => {
  for (const child of senders.splice(0)) {
    child.kill();
  }
});

afterAll(async () => {
  server?.close();
  await chromium?.close();
  await gateway?.stop();
});

/** Start a program that sends arrays, which it reads from stdin. */
function sender(command: string, program: string, load: Load, options: readonly string[]): ChildProcess {
  const { elements, hz, seconds } = load;
  const all = [`${FOLDER}${program}`, `${elements}`, `${hz}`, `${seconds}`, ...options];
  const child = spawn(command, all, { cwd: ROOT, stdio: ["pipe", "pipe", "inherit"] });
  for (let number = 0; number < ARRAYS; number++) {
    child.stdin?.write(new Uint8Array(arrayOf(number, load).buffer));
  }
  child.stdin?.end();
  senders.push(child);
  return child;
}

async function firstLine({ stdout }: ChildProcess): Promise<string> {
  const lines = stdout && createInterface(stdout)[Symbol.asyncIterator]();
  return (await lines?.next())?.value;
}

interface Measured extends Run {
  readonly workedS: number;
}

async function measure(way: Way, load: Load): Promise<Measured> {
  const stream = `bench/${++streams}`;
  const url = isThroughGateway(way)
    ? gateway.url
    : await firstLine(sender(process.execPath, "server.mjs", load, [way]));
  let [beganS, endedS] = [0, 0];
  told = async (event) => {
    if (event === "ready") {
      sender(PYTHON, "publisher.py", load, [load.codec, url, stream]);
    } else if (event === "begun") {
      beganS = await chromium.workedS();
    } else {
      endedS = await chromium.workedS();
    }
  };
  await chromium.load(address);
  const run = await chromium.evaluate<Run>(`receive(${[way, load, url, stream].map((each) => JSON.stringify(each))})`);
  return { ...run, workedS: endedS - beganS };
}

function part(values: readonly number[], share: number): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(share * (values.length - 1))];
}

function median(runs: readonly Measured[], figure: (run: Measured) => number | undefined, digits = 0): string {
  const values = runs.map(figure).filter((value) => value !== undefined);
  return values.length ? (part(values, 0.5) ?? 0).toFixed(digits) : "";
}

function range(values: readonly number[]): string {
  return `${Math.min(...values).toFixed(0)} to ${Math.max(...values).toFixed(0)}`;
}

type Asked = readonly [name: string, load: Omit<Load, "seconds">, ways: readonly Way[]];

const CODECS = ["lz4", "shuffle+lz4", "zstd:1", "shuffle+zstd:1", "snappy"];
const LOADS: readonly Asked[] = [
  ["1 MB, as fast as it goes", { elements: 250_000, hz: 0, codec: "none" }, WAYS],
  ["1 MB, 50 a second", { elements: 250_000, hz: 50, codec: "none" }, WAYS],
  ["4 MB, 12 a second", { elements: 1_000_000, hz: 12, codec: "none" }, NOT_RELAYED],
  ["40 bytes, as fast as it goes", { elements: 10, hz: 0, codec: "none" }, NOT_RELAYED],
  ...CODECS.map((codec): Asked => [`1 MB by ${codec}`, { elements: 250_000, hz: 0, codec }, ["worker", "page"]]),
];

/** The ways take turns, so that what else the machine does is shared by all. */
test.each(LOADS)("%s", { timeout: 600_000 }, async (name, asked, ways) => {
  const load = { ...asked, seconds: SECONDS };
  const runs = new Map<Way, Measured[]>(ways.map((way) => [way, []]));
  for (let run = 0; run < RUNS; run++) {
    for (const way of ways) {
      runs.get(way)?.push(await measure(way, load));
    }
  }
  const lines = [
    `\n${name}: medians of ${RUNS} runs\n`,
    "| way | MB/s | of the runs | arrays/s | main thread, ms a frame | gap of frames p95, ms | largest | publish to callback p50, ms | p99 |",
    "|---|---|---|---|---|---|---|---|---|",
  ];
  for (const [way, measured] of runs) {
    const rate = ({ arrays, seconds }: Run): number => arrays / seconds;
    const mbPerS = (run: Run): number => (rate(run) * 4 * load.elements) / 1e6;
    const figures = [
      NAMES[way],
      median(measured, mbPerS),
      range(measured.map(mbPerS)),
      median(measured, rate),
      median(measured, ({ workedS, gaps }) => (1000 * workedS) / gaps.length, 2),
      median(measured, ({ gaps }) => part(gaps, 0.95), 1),
      median(measured, ({ gaps }) => part(gaps, 1), 1),
      median(measured, ({ ages }) => part(ages, 0.5), 1),
      median(measured, ({ ages }) => part(ages, 0.99), 1),
    ];
    lines.push(`| ${figures.join(" | ")} |`);
  }
  process.stdout.write(`${lines.join("\n")}\n`);
});
