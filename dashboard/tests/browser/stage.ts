/** A gateway with traffic, or `frys demo`, and Chromium in front of it. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright";
import { ARGUMENTS, CHROMIUM } from "../../../clients/js/tests/browser/chromium.ts";
import { PYTHON, ROOT } from "../../../clients/js/tests/gateway.ts";

const TRAFFIC = fileURLToPath(new URL("traffic.py", import.meta.url));

/** Whether the tests can run: with Chromium, and with the page that `make dashboard` puts where the gateway serves it. */
export const CAN_RUN = CHROMIUM !== undefined && existsSync(`${ROOT}gateway/admin/dashboard/index.html`);

/** Programs that run behind a page: arguments of Python, and a text by which each tells that it is ready. */
type Scene = (port: string, adminPort: string) => readonly (readonly [args: readonly string[], line: string])[];

const SERVE: Scene = (port, adminPort) => [
  [["-m", "gateway", "serve", "--port", port, "--admin-port", adminPort], "listening on"],
  [[TRAFFIC, `ws://127.0.0.1:${port}`], "flows"],
];

/** `frys demo`, as a newcomer starts it. */
export const DEMO: Scene = (port, adminPort) => [
  [["-m", "gateway", "demo", "--no-browser", "--port", port, "--admin-port", adminPort], "dashboard"],
];

/** The gateway alone, of another version. */
export const NEXT_VERSION = "99.0.0";
export const UPDATED: Scene = (port, adminPort) => {
  const program = `import gateway; gateway.__version__ = "${NEXT_VERSION}"; import gateway.cli; gateway.cli.main()`;
  return [[["-c", program, "serve", "--port", port, "--admin-port", adminPort], "listening on"]];
};

export class Stage {
  readonly address: string;
  readonly #browser: Browser;
  readonly #ports: readonly [number, number];
  #children: ChildProcess[] = [];

  private constructor(browser: Browser, ports: readonly [number, number]) {
    this.#browser = browser;
    this.#ports = ports;
    this.address = `http://127.0.0.1:${ports[1]}/`;
  }

  static async start(scene = SERVE): Promise<Stage> {
    const browser = await chromium.launch({ executablePath: CHROMIUM ?? "", args: [...ARGUMENTS] });
    const stage = new Stage(browser, [await freePort(), await freePort()]);
    await stage.run(scene);
    return stage;
  }

  /** Start the programs of a scene, on the ports of the stage. */
  async run(scene = SERVE): Promise<void> {
    const [port, adminPort] = this.#ports.map(String);
    for (const [args, line] of scene(port, adminPort)) {
      await this.#child(args, line);
    }
  }

  /** Kill the gateway and its traffic, as a crash would. */
  async kill(): Promise<void> {
    const running = this.#children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    const gone = running.map((child) => once(child, "exit"));
    for (const child of running) {
      child.kill("SIGKILL");
    }
    await Promise.all(gone);
    this.#children = [];
  }

  /** Stop the gateway as a machine that is suspended would, its connections left open; or have it go on. */
  suspend(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#children[0]?.kill(signal);
  }

  /** Open a page; what it logs as an error, and requests to other hosts, are kept in `faults`. */
  async open(hash: string, options: BrowserContextOptions = {}): Promise<{ page: Page; faults: string[] }> {
    const context = await this.#browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    const page = await context.newPage();
    const faults: string[] = [];
    page.on("pageerror", (error) => faults.push(error.message));
    page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
    page.on("request", (request) => {
      const { hostname, protocol } = new URL(request.url());
      if (!["data:", "blob:"].includes(protocol) && hostname !== "127.0.0.1") {
        faults.push(`request to ${request.url()}`);
      }
    });
    await page.goto(`${this.address}${hash}`);
    return { page, faults };
  }

  async read<T>(path: string): Promise<T> {
    return (await (await fetch(new URL(path, this.address))).json()) as T;
  }

  async stop(): Promise<void> {
    await this.kill();
    await this.#browser.close();
  }

  async #child(args: readonly string[], line: string): Promise<void> {
    const child = spawn(PYTHON, args, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
    this.#children.push(child);
    for await (const text of createInterface(child.stdout)) {
      if (text.includes(line)) {
        child.stdout.resume();
        return;
      }
    }
    throw new Error(`${args.join(" ")} has ended`);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address ? address.port : 0;
}
