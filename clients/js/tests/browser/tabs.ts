/** Tabs of a Chromium of their own, of which those behind another one are really hidden: Playwright keeps all pages visible. */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { ARGUMENTS, CHROMIUM } from "./chromium.ts";

export interface Tab {
  readonly targetId: string;
  readonly sessionId: string;
}

interface Answer {
  readonly id?: number;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

export class Tabs {
  readonly #folder = mkdtempSync(join(tmpdir(), "frys-tabs-"));
  readonly #browser: ChildProcess;
  readonly #orders: Writable;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #ended: Promise<unknown>;

  constructor() {
    const own = ["--headless=new", "--remote-debugging-pipe", `--user-data-dir=${this.#folder}`];
    this.#browser = spawn(CHROMIUM ?? "", [...ARGUMENTS, ...own, "about:blank"], {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
    });
    this.#ended = new Promise((resolve) => this.#browser.once("exit", resolve));
    this.#orders = this.#browser.stdio[3] as Writable;
    this.#read(this.#browser.stdio[4] as Readable);
  }

  #read(answers: Readable): void {
    let text = "";
    answers.setEncoding("utf8").on("data", (part: string) => {
      const messages = (text + part).split("\0");
      text = messages.pop() ?? "";
      for (const message of messages) {
        const answer = JSON.parse(message) as Answer;
        this.#waiting.get(answer.id ?? 0)?.(answer);
      }
    });
  }

  async #call<T>(method: string, params: object, sessionId?: string): Promise<T> {
    const id = this.#waiting.size + 1;
    const answered = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve));
    this.#orders.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    const { result, error } = await answered;
    if (error) {
      throw new Error(`${method}: ${error.message}`);
    }
    return result as T;
  }

  /** Open a page in front of all others. */
  async open(url: string): Promise<Tab> {
    const { targetId } = await this.#call<{ targetId: string }>("Target.createTarget", { url });
    const attached = await this.#call<{ sessionId: string }>("Target.attachToTarget", { targetId, flatten: true });
    return { targetId, ...attached };
  }

  /** Bring a page to the front. */
  async show({ targetId }: Tab): Promise<void> {
    await this.#call("Target.activateTarget", { targetId });
  }

  /** Return the value of an expression in a page; of a promise what it becomes. */
  async valueOf<T>({ sessionId }: Tab, expression: string): Promise<T> {
    const params = { expression, awaitPromise: true, returnByValue: true };
    return (await this.#call<{ result: { value: T } }>("Runtime.evaluate", params, sessionId)).result.value;
  }

  /** Wait until an expression is true in a page. */
  async until(tab: Tab, expression: string): Promise<void> {
    while (!(await this.valueOf(tab, expression))) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async close(): Promise<void> {
    this.#browser.kill();
    await this.#ended;
    // Processes of the browser end behind it, and write meanwhile.
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }
}
