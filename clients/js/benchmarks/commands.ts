/** Acts outside of the page that benchmarks ask for. */

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type {} from "@vitest/browser-playwright";
import type { CDPSession } from "playwright";
import type { BrowserCommand } from "vitest/node";
import { PYTHON, ROOT } from "../tests/gateway.ts";

/** Arrays that are sent: bytes of each, how many a second (0: as fast as they are taken), for how long. */
export interface Load {
  readonly bytes: number;
  readonly hz: number;
  readonly seconds: number;
}

declare module "vitest/browser" {
  interface BrowserCommands {
    /** Publish arrays to a stream; done when all are published. */
    publishLoad(url: string, stream: string, load: Load): Promise<void>;
    /** Start a server that sends the arrays to the first page; returns its URL. */
    plainLoad(load: Load): Promise<string>;
    /** The same by a server of Socket.IO. */
    socketIoLoad(load: Load): Promise<string>;
    /** Return the seconds that the page's main thread has worked so far. */
    workedS(): Promise<number>;
    /** Print a line of the result. */
    print(line: string): Promise<void>;
  }
}

function sender(way: string, { bytes, hz, seconds }: Load, address: readonly string[]): ChildProcess {
  const program = `${ROOT}clients/js/benchmarks/sender.py`;
  const options = [program, way, `${bytes / 4}`, `${hz}`, `${seconds}`, ...address];
  const env = { ...process.env, PYTHONPATH: ROOT };
  return spawn(PYTHON, options, { cwd: ROOT, env, stdio: ["ignore", "pipe", "inherit"] });
}

export const publishLoad: BrowserCommand<[url: string, stream: string, load: Load]> = (_context, url, stream, load) =>
  new Promise((resolve) => {
    sender("gateway", load, [url, stream]).once("exit", () => resolve(undefined));
  });

export const plainLoad: BrowserCommand<[load: Load]> = (_context, load) => firstLine(sender("plain", load, []));

export const socketIoLoad: BrowserCommand<[load: Load]> = (_context, { bytes, hz, seconds }) => {
  const program = `${ROOT}clients/js/benchmarks/socketio_server.mjs`;
  const options = [program, `${bytes}`, `${hz}`, `${seconds}`];
  return firstLine(spawn(process.execPath, options, { stdio: ["ignore", "pipe", "inherit"] }));
};

async function firstLine({ stdout }: ChildProcess): Promise<string> {
  const lines = stdout && createInterface(stdout)[Symbol.asyncIterator]();
  return (await lines?.next())?.value;
}

// Kept: the figures of a session begin when it does.
let session: CDPSession | undefined;

export const workedS: BrowserCommand<[]> = async ({ page, context }) => {
  if (!session) {
    session = await context.newCDPSession(page);
    await session.send("Performance.enable");
  }
  const { metrics } = await session.send("Performance.getMetrics");
  return metrics.find(({ name }) => name === "TaskDuration")?.value ?? 0;
};

export const print: BrowserCommand<[line: string]> = (_context, line) => {
  process.stdout.write(`${line}\n`);
};
