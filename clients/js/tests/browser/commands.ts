/** Acts outside of the page, which tests in the browser ask for: `commands.publishStates(...)`. */

import { spawn } from "node:child_process";
import type {} from "@vitest/browser-playwright";
import type { BrowserCommand } from "vitest/node";
import { PYTHON, ROOT } from "../gateway.ts";
import { Tabs } from "./tabs.ts";

/** Versions of a state of float32: how many a second, for how long, of which shape, and by which codec. */
export interface Versions {
  readonly hz: number;
  readonly seconds: number;
  readonly shape: readonly number[];
  readonly codec?: string;
}

/** Canvas of a page. */
export interface Drawing {
  readonly size: readonly [width: number, height: number];
  /** Red, green, blue and alpha of the last pixel. */
  readonly last: readonly number[];
}

/** Texts that a page shows before it is hidden, while it is, and when it is back. */
export interface Hidden {
  readonly before: string;
  readonly meanwhile: string;
  readonly visibility: string;
  readonly after: string;
}

declare module "vitest/browser" {
  interface BrowserCommands {
    /** Publish from another process; done when the last version is acknowledged. */
    publishStates(url: string, stream: string, versions: Versions): Promise<void>;
    /** Open a page, wait for a text in it, and return what its canvas then shows. */
    drawn(address: string, text: string): Promise<Drawing>;
    /** Open two pages, move the slider of one, and return the place of the other's when both have the text. */
    moved(address: string, place: string, text: string): Promise<string>;
    /** Open a page that shows versions of a state, hide it behind another one while it is published, and bring it back. */
    hidden(address: string, url: string, stream: string): Promise<Hidden>;
  }
}

function publish(url: string, stream: string, { hz, seconds, shape, codec = "auto" }: Versions): Promise<void> {
  return new Promise((resolve, reject) => {
    const program = `${ROOT}clients/js/tests/browser/publisher.py`;
    const child = spawn(PYTHON, [program, url, stream, `${hz}`, `${seconds}`, shape.join(), codec], {
      cwd: ROOT,
      env: { ...process.env, PYTHONPATH: ROOT },
      stdio: ["ignore", "ignore", "inherit"],
    });
    child.once("exit", (code) =>
      code ? reject(new Error(`the publisher ended with code ${code}`)) : resolve(undefined),
    );
  });
}

export const publishStates: BrowserCommand<[url: string, stream: string, versions: Versions]> = (
  _context,
  url,
  stream,
  versions,
) => publish(url, stream, versions);

export const drawn: BrowserCommand<[address: string, text: string]> = async ({ context }, address, text) => {
  const page = await context.newPage();
  try {
    await page.goto(address);
    await page.getByText(text).waitFor({ timeout: 20_000 });
    return await page.evaluate((): Drawing => {
      const canvas = document.querySelector("canvas") ?? new HTMLCanvasElement();
      const { width, height } = canvas;
      const last = canvas.getContext("2d")?.getImageData(width - 1, height - 1, 1, 1).data ?? [];
      return { size: [width, height], last: [...last] };
    });
  } finally {
    await page.close();
  }
};

export const moved: BrowserCommand<[address: string, place: string, text: string]> = async (
  { context },
  address,
  place,
  text,
) => {
  const [page, other] = [await context.newPage(), await context.newPage()];
  try {
    await Promise.all([page.goto(address), other.goto(address)]);
    await page.waitForLoadState("networkidle");
    await page.getByRole("slider").fill(place);
    await page.getByText(text).waitFor({ timeout: 20_000 });
    await other.waitForFunction((wanted) => document.querySelector("input")?.value === wanted, place);
    return await other.getByRole("slider").inputValue();
  } finally {
    await Promise.all([page.close(), other.close()]);
  }
};

export const hidden: BrowserCommand<[address: string, url: string, stream: string]> = async (
  _context,
  address,
  url,
  stream,
): Promise<Hidden> => {
  const tabs = new Tabs();
  const text = "document.querySelector('p')?.textContent";
  try {
    const tab = await tabs.open(address);
    await publish(url, stream, { hz: 100, seconds: 0.1, shape: [2, 2] });
    await tabs.until(tab, `${text}?.includes("version 9:")`);
    const before = await tabs.valueOf<string>(tab, text);
    await tabs.open("about:blank");
    await tabs.until(tab, "document.visibilityState === 'hidden'");
    await publish(url, stream, { hz: 100, seconds: 1, shape: [2, 2] });
    const meanwhile = await tabs.valueOf<string>(tab, text);
    const visibility = await tabs.valueOf<string>(tab, "document.visibilityState");
    await tabs.show(tab);
    await tabs.until(tab, `${text}?.includes("version 109:")`);
    return { before, meanwhile, visibility, after: await tabs.valueOf<string>(tab, text) };
  } finally {
    await tabs.close();
  }
};
