/** The files for a script tag, as `npm run build` has written them: their size, their parts, their licences. */

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { beforeAll, expect, test } from "vitest";

const FOLDER = new URL("../../dist/browser/", import.meta.url);
const SOURCES = new URL("../../src/", import.meta.url);
/** Bytes of `frys.js`, and of all that a page has loaded when it is connected, without the compressors. */
const MAX_PAGE_BYTES = 25 * 1024;
const MAX_CONNECTED_BYTES = 64 * 1024;

function textOf(name: string): string {
  return readFileSync(new URL(name, FOLDER), "utf8");
}

/** Return some files, and all that these import before they run. */
function withImports(names: readonly string[]): Set<string> {
  const imported = names.flatMap((name) => [...textOf(name).matchAll(/(?:import|from)\s*["']\.\/([^"']+)["']/g)]);
  const found = imported.map(([, name]) => name);
  return new Set(found.length ? [...names, ...withImports(found)] : names);
}

function gzipBytes(names: Iterable<string>): number {
  return [...names].reduce((sum, name) => sum + gzipSync(textOf(name), { level: 9 }).byteLength, 0);
}

function partOf(name: string): string {
  const found = readdirSync(FOLDER).filter((file) => file.startsWith(`${name}-`) && file.endsWith(".js"));
  expect(found).toEqual([expect.stringMatching(/^\w+-[\w-]{8}\.js$/)]);
  return found[0];
}

beforeAll(() => {
  const names = readdirSync(SOURCES, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  const newest = Math.max(...names.map((name) => statSync(new URL(name, SOURCES)).mtimeMs));
  const built = new URL("frys.js", FOLDER);
  if (!existsSync(built) || statSync(built).mtimeMs < newest) {
    throw new Error("dist/browser is missing or older than src: run `npm run build` first");
  }
});

test("a page loads no more than it needs before it connects, and little more to connect", () => {
  const page = withImports(["frys.js"]);
  expect(gzipBytes(page)).toBeLessThanOrEqual(MAX_PAGE_BYTES);
  const connected = withImports(["frys.js", partOf("client"), "frys_worker.js"]);
  expect(gzipBytes(connected)).toBeLessThanOrEqual(MAX_CONNECTED_BYTES);
});

test("compressors are parts of their own, loaded when they are first met", () => {
  const loaded = withImports(["frys.js", partOf("client"), "frys_worker.js", "frys_sockets.js"]);
  for (const compressor of ["zstddec", "hysnappy"]) {
    expect([...loaded]).not.toContain(partOf(compressor));
  }
});

test("the licences of all code in the files are beside them", () => {
  const licences = textOf("LICENSES.txt");
  const { dependencies } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  for (const name of ["@frys/client", ...Object.keys(dependencies)]) {
    expect(licences).toMatch(new RegExp(`^${name} \\d+\\.\\d+\\.\\d+ \\(.+\\)$`, "m"));
  }
  for (const text of ["Apache License", "The MIT License", "BSD License", "For Zstandard software"]) {
    expect(licences).toContain(text);
  }
  for (const name of readdirSync(FOLDER).filter((found) => found.endsWith(".js"))) {
    expect(textOf(name).split("\n", 1)[0]).toMatch(
      /^\/\*! @frys\/client \d+\.\d+\.\d+, Apache-2\.0\. .*LICENSES\.txt \*\//,
    );
  }
});

test("the module runs in Node as it does in a page", async () => {
  const { Tensor }: typeof import("../../src/page.ts") = await import(new URL("frys.js", FOLDER).href);
  expect(Tensor.from(Float32Array.of(1, 2)).toNested()).toEqual([1, 2]);
});
