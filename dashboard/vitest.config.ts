import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  // In Node there is no gateway that serves the client.
  resolve: { alias: { "@frys/client": fileURLToPath(new URL("../clients/js/dist/index.js", import.meta.url)) } },
  test: { include: ["tests/**/*.test.{ts,tsx}"], testTimeout: 60_000, hookTimeout: 60_000 },
});
