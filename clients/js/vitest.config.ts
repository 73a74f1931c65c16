import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    // One process for all files: the tests are pure, and starting a worker takes longer than most of them.
    isolate: false,
    testTimeout: 30_000,
  },
});
