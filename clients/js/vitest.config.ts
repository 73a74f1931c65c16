import { playwright } from "@vitest/browser-playwright";
import { defineConfig, type TestProjectConfiguration } from "vitest/config";
import type { BrowserConfigOptions } from "vitest/node";
import { ARGUMENTS, CHROMIUM } from "./tests/browser/chromium.ts";
import * as commands from "./tests/browser/commands.ts";

const node: TestProjectConfiguration = {
  test: {
    name: "node",
    include: ["tests/**/*.test.ts"],
    exclude: ["tests/browser/**"],
    // One process for all files: the tests are pure, and starting a worker takes longer than most of them.
    isolate: false,
    testTimeout: 30_000,
  },
};

/** Return the project of some files that run in a page; none without Chromium. */
export function inChromium(
  include: string,
  commands: NonNullable<BrowserConfigOptions["commands"]>,
): TestProjectConfiguration[] {
  if (!CHROMIUM) {
    return [];
  }
  const launchOptions = { executablePath: CHROMIUM, args: [...ARGUMENTS] };
  const project: TestProjectConfiguration = {
    // Found before the first page, which would be loaded anew otherwise.
    optimizeDeps: { include: ["hysnappy", "zstddec"] },
    test: {
      name: "chromium",
      include: [include],
      globalSetup: "tests/browser/setup.ts",
      testTimeout: 60_000,
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        commands,
        provider: playwright({ launchOptions }),
        instances: [{ browser: "chromium" }],
      },
    },
  };
  return [project];
}

export default defineConfig({ test: { projects: [node, ...inChromium("tests/browser/**/*.test.ts", commands)] } });
