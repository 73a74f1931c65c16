/** A gateway with its dashboard, publishers in processes of their own, and pages of the viewer in Chromium. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type Browser, chromium, type Page } from "playwright";
import { ARGUMENTS, CHROMIUM } from "../../../clients/js/tests/browser/chromium.ts";
import { PYTHON, ROOT } from "../../../clients/js/tests/gateway.ts";
import { wholeViewport } from "../../src/viewer/viewport.ts";

export async function launch(...args: readonly string[]): Promise<Browser> {
  return chromium.launch({ ...(CHROMIUM ? { executablePath: CHROMIUM } : {}), args: [...ARGUMENTS, ...args] });
}

/** Start a publisher; returns when what it publishes is there. */
export async function publish(url: string, scene: string, ...more: readonly string[]): Promise<ChildProcess> {
  const program = `${ROOT}dashboard/tests/browser/viewer_publisher.py`;
  const child = spawn(PYTHON, [program, url, scene, ...more], {
    cwd: ROOT,
    env: { ...process.env, PYTHONPATH: ROOT },
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  return child;
}

export async function kill(child: ChildProcess | undefined): Promise<void> {
  if (child?.exitCode === null && child.signalCode === null) {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
}

/** Open a stream at an address such as `view/cells?view=heat`; collects what the console says of errors. */
export async function open(browser: Browser, adminUrl: string, address: string, errors: string[] = []): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await page.goto(`${adminUrl}/#/streams/${address}`);
  return page;
}

/** Return the colour in the middle of each cell of a plane on the canvas, four bytes each, row after row. */
export async function coloursOf(page: Page, rows: number, columns: number): Promise<number[]> {
  const canvas = page.locator(".viewer-canvas canvas");
  const size = await canvas.evaluate(({ width, height }: HTMLCanvasElement) => ({ width, height }));
  const { top, bottom, left, right } = wholeViewport({ width: columns, height: rows }, size);
  const places = Array.from({ length: rows * columns }, (_, index) => {
    const [row, column] = [Math.floor(index / columns), index % columns];
    return [
      Math.floor(((column + 0.5 - left) / (right - left)) * size.width),
      Math.floor(((row + 0.5 - top) / (bottom - top)) * size.height),
    ] as const;
  });
  return canvas.evaluate((drawn: HTMLCanvasElement, wanted: typeof places) => {
    // The canvas belongs to the worker: a copy is read.
    const copy = Object.assign(document.createElement("canvas"), { width: drawn.width, height: drawn.height });
    const context = copy.getContext("2d");
    context?.drawImage(drawn, 0, 0);
    return wanted.flatMap(([x, y]) => [...(context?.getImageData(x, y, 1, 1).data ?? [])]);
  }, places);
}

/** Return what stands beside a name in the panel of facts. */
export async function fact(page: Page, name: string): Promise<string> {
  return page
    .locator(".viewer-facts dl > div", { has: page.getByText(name, { exact: true }) })
    .locator("dd")
    .textContent({ timeout: 1000 })
    .then(
      (text) => text ?? "",
      () => "", // not there yet
    );
}
