/** The examples of the README run. */

import { existsSync, readFileSync } from "node:fs";
import { expect, onTestFinished, test, vi } from "vitest";
import * as client from "../src/index.ts";
import { load } from "./conformance/vectors.ts";
import { startGateway } from "./integration/gateway.ts";

const README = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const EXPORTED: Readonly<Record<string, unknown>> = { ...client };
const DEFAULT_URL = "ws://127.0.0.1:8765";
const AsyncFunction = (async () => undefined).constructor as typeof Function;

/**
 * Return an example of the README as a function of further variables.
 *
 * @param part text that only this example has.
 * @param variables names, separated by commas.
 * @param change text to replace, and its replacement.
 */
function exampleOf(
  part: string,
  variables: string,
  [old, text]: readonly [string, string] = ["", ""],
): (...values: unknown[]) => Promise<void> {
  const examples = README.matchAll(/```ts\nimport \{(.*?)\} from "@frys\/client";\n(.*?)```/gs);
  const [, imported = "", found = ""] = [...examples].find(([whole]) => whole.includes(part)) ?? [];
  const names = imported.split(",").map((name) => name.trim());
  expect(names.filter((name) => !(name in EXPORTED))).toEqual([]);
  expect(found).toContain(old);
  const example = new AsyncFunction(...names, ...variables.split(","), found.replace(old, text));
  return (...values) => example(...names.map((name) => EXPORTED[name]), ...values);
}

test("the first example publishes and receives", async () => {
  const gateway = await startGateway();
  const log = vi.fn();
  await exampleOf("connect(", "console", [DEFAULT_URL, gateway.url])({ log });
  expect(log.mock.calls).toEqual([["run-1/loss", 0n, { step: 1 }, Float32Array.of(0.5, 0.25)]]);
});

test("the second example takes a view, asks a group, and sees who is there", async () => {
  const gateway = await startGateway();
  const agent = await client.connect(gateway.url, { clientId: "planner" });
  onTestFinished(() => agent.close());
  await agent.publish("run-1/field", Float32Array.of(0, 255), { shape: [1, 2] });
  const requests = await agent.inbox({ group: "planners" });
  const answering = (async () => {
    for await (const request of requests) {
      await request.replyPart(Float32Array.of(3));
      await request.reply(Float32Array.of(4), { headers: { final: true } });
    }
  })();
  const [log, error] = [vi.fn(), vi.fn()];
  await exampleOf("requestStream(", "console", [DEFAULT_URL, gateway.url])({ log, error });
  await requests.close();
  await answering;
  expect(error.mock.calls).toEqual([]);
  expect(log.mock.calls).toHaveLength(5);
  expect(log.mock.calls).toEqual(
    expect.arrayContaining([
      [Float32Array.of(0, 255)],
      [Float32Array.of(4), { final: true }],
      [Float32Array.of(3)],
      [Float32Array.of(4)],
      ["joined", "page-1", { user: "ann" }, undefined],
    ]),
  );
});

test("the example of frames shows the tensors of every kind of payload", async () => {
  const socket: { onmessage?: (event: { data: ArrayBuffer }) => Promise<void> } = {};
  const log = vi.fn();
  await exampleOf("iterFrames", "socket,console")(socket, { log });
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

test("the table of rules has every section of the specification, and tests that there are", () => {
  const rows = [...README.matchAll(/^\| (\d[\d, ]*) \| (.+) \| (.+) \|$/gm)];
  const named = rows.flatMap(([, , , tests]) => [...tests.matchAll(/`([\w/]+)`/g)].map(([, name]) => name));
  expect(named.filter((name) => !existsSync(new URL(`${name}.test.ts`, import.meta.url)))).toEqual([]);
  const specification = readFileSync(new URL("../../../spec/client.md", import.meta.url), "utf8");
  const sections = [...specification.matchAll(/^## (\d+)\. /gm)].map(([, number]) => number);
  expect(new Set(rows.flatMap(([, numbers]) => numbers.split(", ")))).toEqual(new Set(sections));
});
