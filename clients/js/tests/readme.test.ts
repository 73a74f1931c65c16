/** The example of the README runs. */

import { readFileSync } from "node:fs";
import { expect, test, vi } from "vitest";
import * as client from "../src/index.ts";
import { load } from "./conformance/vectors.ts";

const README = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const [, IMPORTED, EXAMPLE] = /```ts\nimport \{(.*?)\} from "@frys\/client";\n(.*?)```/s.exec(README) ?? [];

test("the example shows the tensors of every kind of payload", async () => {
  const names = IMPORTED.split(",").map((name) => name.trim());
  const exported: Readonly<Record<string, unknown>> = { ...client };
  expect(names.filter((name) => !(name in exported))).toEqual([]);
  const socket: { onmessage?: (event: { data: ArrayBuffer }) => Promise<void> } = {};
  const log = vi.fn();
  const values = names.map((name) => exported[name]);
  new Function("socket", "console", ...names, EXAMPLE)(socket, { log }, ...values);
  for (const wanted of ["message-tensor", "chain-zstd", "chain-snappy", "chain-shuffle-lz4"]) {
    const message = load().find(({ name }) => name === wanted)?.message ?? new Uint8Array(0);
    await socket.onmessage?.({ data: Uint8Array.from(message).buffer });
  }
  expect(log.mock.calls.map(([name, dtype, shape]) => [name, dtype, shape])).toEqual([
    ["", "float32", [2, 2]],
    ["", expect.any(String), [48]],
    ["", expect.any(String), [48]],
    ["", "int64", [48]],
  ]);
});
