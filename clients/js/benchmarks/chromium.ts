/**
 * Chromium with one page, driven by the few commands of its DevTools protocol that a measurement needs.
 *
 * Playwright turns on the domain `Network`, with which Chromium copies each WebSocket message to the program that drives it, as
 * base64: a page that gets 550 MB/s then gets 100.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { WebSocket } from "ws";

const QUIET = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"];
/** Root, as in containers, can run no sandbox. */
const OPTIONS = [...QUIET, "--headless", "--disable-sync", "--no-sandbox", "--remote-debugging-port=0"];

interface Reply {
  readonly id?: number;
  readonly method?: string;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

export class Chromium {
  readonly #process: ChildProcess;
  readonly #profile: string;
  readonly #socket: WebSocket;
  readonly #asked = new Map<number, (reply: Reply) => void>();
  #loaded: () => void = () => undefined;
  #session: string | undefined;
  #nextId = 1;

  private constructor(process: ChildProcess, profile: string, socket: WebSocket) {
    this.#process = process;
    this.#profile = profile;
    this.#socket = socket;
    socket.on("message", (data) => this.#received(JSON.parse(`${data}`) as Reply));
  }

  /** Start the program at a path, and open a page. */
  static async start(path: string): Promise<Chromium> {
    const profile = mkdtempSync(join(tmpdir(), "frys-bench-"));
    const child = spawn(path, [...OPTIONS, `--user-data-dir=${profile}`, "about:blank"], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const socket = new WebSocket(await addressOf(child), { perMessageDeflate: false });
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
    const chromium = new Chromium(child, profile, socket);
    await chromium.#openPage();
    return chromium;
  }

  async #openPage(): Promise<void> {
    const { targetId } = await this.#ask<{ targetId: string }>("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.#ask<{ sessionId: string }>("Target.attachToTarget", { targetId, flatten: true });
    this.#session = sessionId;
    await this.#ask("Page.enable");
    await this.#ask("Performance.enable");
  }

  /** Load an address; done when its scripts have run. */
  async load(url: string): Promise<void> {
    const loaded = new Promise<void>((resolve) => {
      this.#loaded = resolve;
    });
    await this.#ask("Page.navigate", { url });
    await loaded;
  }

  /** Return what a promise of the page brings. */
  async evaluate<T>(expression: string): Promise<T> {
    const options = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails } = await this.#ask<{
      result: { value: T };
      exceptionDetails?: { exception?: { description?: string } };
    }>("Runtime.evaluate", options);
    if (exceptionDetails) {
      throw new Error(`the page has failed: ${exceptionDetails.exception?.description}`);
    }
    return result.value;
  }

  /** Return the seconds that the page's main thread has worked so far. */
  async workedS(): Promise<number> {
    const { metrics } = await this.#ask<{ metrics: { name: string; value: number }[] }>("Performance.getMetrics");
    return metrics.find(({ name }) => name === "TaskDuration")?.value ?? 0;
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    // Killed, it would leave processes that still write to its profile.
    this.#session = undefined;
    await this.#ask("Browser.close");
    await ended;
    this.#socket.terminate();
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }

  #ask<T>(method: string, params: object = {}): Promise<T> {
    const id = this.#nextId++;
    this.#socket.send(JSON.stringify({ id, method, params, sessionId: this.#session }));
    return new Promise((resolve, reject) => {
      this.#asked.set(id, ({ result, error }) =>
        error ? reject(new Error(`${method}: ${error.message}`)) : resolve(result as T),
      );
    });
  }

  #received(reply: Reply): void {
    if (reply.id !== undefined) {
      this.#asked.get(reply.id)?.(reply);
      this.#asked.delete(reply.id);
    } else if (reply.method === "Page.loadEventFired") {
      this.#loaded();
    }
  }
}

async function addressOf({ stderr }: ChildProcess): Promise<string> {
  for await (const line of createInterface(stderr ?? process.stdin)) {
    const found = /^DevTools listening on (\S+)/.exec(line)?.[1];
    if (found) {
      stderr?.resume();
      return found;
    }
  }
  throw new Error("Chromium has not started");
}
