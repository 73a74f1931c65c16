/** The files for a script tag, as `npm run build` has written them: their size, their parts, their licences. */

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { beforeAll, expect, test } from "vitest";

const FOLDER = new URL("../../dist/browser/", import.meta.url);
const SOURCES = new URL("../../src/", import.meta.url);
const MAX_GZIP_BYTES = 25 * 1024;

function textOf(name: string): string {
  return readFileSync(new URL(name, FOLDER), "utf8");
}

/** Return a file, and all that it imports before it runs. */
function withImports(name: string): string[] {
  const imported = textOf(name).matchAll(/(?:import|from)\s*["']\.\/([^"']+)["']/g);
  return [name, ...[...imported].flatMap(([, part]) => withImports(part))];
}

beforeAll(() => {
  const names = readdirSync(SOURCES, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  const newest = Math.max(...names.map((name) => statSync(new URL(name, SOURCES)).mtimeMs));
  const built = new URL("frys.js", FOLDER);
  if (!existsSync(built) || statSync(built).mtimeMs < newest) {
    throw new Error("dist/browser is missing or older than src: run `npm run build` first");
  }
});

test("a page loads no more than it needs before it runs", () => {
  const bytes = [...new Set(withImports("frys.js"))].map((name) => gzipSync(textOf(name), { level: 9 }).byteLength);
  expect(bytes.reduce((sum, part) => sum + part, 0)).toBeLessThanOrEqual(MAX_GZIP_BYTES);
});

test("compressors are parts of their own, with a hash in their names", () => {
  const names = readdirSync(FOLDER).filter((name) => name.endsWith(".js"));
  for (const part of ["zstddec", "hysnappy"]) {
    expect(names.filter((name) => name.startsWith(part))).toEqual([expect.stringMatching(/^[a-z]+-[\w-]{8}\.js$/)]);
  }
  expect(withImports("frys.js").filter((name) => /zstddec|hysnappy/.test(name))).toEqual([]);
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
