/** The files for a script tag, as `npm run build` has written them: their size, their parts, their licences. */

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { beforeAll, expect, test } from "vitest";

const FOLDER = new URL("../../dist/browser/", import.meta.url);
const SOURCES = new URL("../../src/", import.meta.url);
/** Largest size of each file with all that it imports before it runs, in KB, gzipped; the table in the README is this one. */
const MAX_KB: Readonly<Record<string, number>> = {
  // Everything by which a page connects, subscribes and reads.
  frys: 25,
  frys_worker: 17,
  frys_sockets: 17,
  // On top of the client, when first used.
  sending: 12,
  requests_part: 5,
  presences: 4,
  duplicate_filter: 2.5,
  views: 2,
  inquiries: 1,
  receiver_load: 1.5,
  options: 1.5,
  // Compressors, loaded by the worker.
  zstddec: 30,
  hysnappy: 3.5,
};

function textOf(name: string): string {
  return readFileSync(new URL(name, FOLDER), "utf8");
}

/** Return some files, and all that these import before they run. */
function withImports(names: readonly string[]): Set<string> {
  const imported = names.flatMap((name) => [...textOf(name).matchAll(/(?:import|from)\s*["']\.\/([^"']+)["']/g)]);
  const found = imported.map(([, name]) => name);
  return new Set(found.length ? [...names, ...withImports(found)] : names);
}

function gzipKb(names: Iterable<string>): number {
  return [...names].reduce((sum, name) => sum + gzipSync(textOf(name), { level: 9 }).byteLength, 0) / 1024;
}

/** Return the files of `dist/browser` by their names without hash. */
function files(): Map<string, string> {
  const names = readdirSync(FOLDER).filter((name) => name.endsWith(".js"));
  return new Map(names.map((name) => [name.replace(/(?:-[\w-]{8})?\.js$/, ""), name]));
}

beforeAll(() => {
  const names = readdirSync(SOURCES, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  const newest = Math.max(...names.map((name) => statSync(new URL(name, SOURCES)).mtimeMs));
  const built = new URL("frys.js", FOLDER);
  if (!existsSync(built) || statSync(built).mtimeMs < newest) {
    throw new Error("dist/browser is missing or older than src: run `npm run build` first");
  }
});

test.each(Object.entries(MAX_KB))("%s has at most %d KB, gzipped", (part, maxKb) => {
  const name = files().get(part);
  expect(name).toBeDefined();
  // A request needs the code that sends as well, which has a bound of its own.
  const before = withImports(["frys.js", ...(part === "requests_part" ? [files().get("sending") ?? ""] : [])]);
  const loaded = [...withImports([name ?? ""])].filter((file) => part === "frys" || !before.has(file));
  expect(gzipKb(loaded)).toBeLessThanOrEqual(maxKb);
});

test("no file is without a bound, but those that others import", () => {
  const bounded = withImports(Object.keys(MAX_KB).map((part) => files().get(part) ?? ""));
  expect([...files().values()].filter((name) => !bounded.has(name))).toEqual([]);
});

test("what is loaded when it is first used is in no other part", () => {
  const loaded = withImports(["frys.js", "frys_worker.js", "frys_sockets.js"]);
  for (const part of ["sending", "requests_part", "presences", "duplicate_filter", "zstddec", "hysnappy"]) {
    expect([...loaded]).not.toContain(files().get(part));
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
