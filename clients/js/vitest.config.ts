import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig, type TestProjectConfiguration } from "vitest/config";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const FOLDERS = (process.env.PATH ?? "").split(delimiter);
const CHROMIUM =
  process.env.CHROMIUM ??
  NAMES.flatMap((name) => FOLDERS.map((folder) => join(folder, name))).find((path) => existsSync(path));

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

const QUIET = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"];

function browser(executablePath: string): TestProjectConfiguration {
  return {
    test: {
      name: "chromium",
      include: ["tests/browser/**/*.test.ts"],
      globalSetup: "tests/browser/setup.ts",
      testTimeout: 60_000,
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        // Root, as in containers, can run no sandbox.
        provider: playwright({ launchOptions: { executablePath, args: [...QUIET, "--disable-sync", "--no-sandbox"] } }),
        instances: [{ browser: "chromium" }],
      },
    },
  };
}

export default defineConfig({ test: { projects: CHROMIUM ? [node, browser(CHROMIUM)] : [node] } });
