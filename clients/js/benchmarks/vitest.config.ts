import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { inChromium } from "../vitest.config.ts";
import * as commands from "./commands.ts";

export default defineConfig({
  root: fileURLToPath(new URL("..", import.meta.url)),
  test: { projects: inChromium("benchmarks/**/*.test.ts", commands) },
});
