/**
 * The files for a script tag, in `dist/browser`: `frys.js`, the parts that it loads when they are needed, and `LICENSES.txt`.
 *
 * Parts have a hash of their content in their names, so that a page never loads one of another version.
 */

import { readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "rolldown";

interface Package {
  readonly name: string;
  readonly version: string;
  readonly license: string;
}

const OWN = packageOf(".");
const BANNER = `/*! ${OWN.name} ${OWN.version}, ${OWN.license}. Licences of bundled code: LICENSES.txt */`;
const PACKAGE_FOLDER = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/;

function packageOf(folder: string): Package {
  return JSON.parse(readFileSync(`${folder}/package.json`, "utf8")) as Package;
}

/** Return a plugin that writes the licences of all packages of which code is bundled. */
function licences(): Plugin {
  return {
    name: "licences",
    generateBundle(_options, bundle) {
      const modules = Object.values(bundle).flatMap((file) => (file.type === "chunk" ? file.moduleIds : []));
      const folders = [...new Set(modules.flatMap((id) => PACKAGE_FOLDER.exec(id) ?? []))].sort();
      const notices = [
        noticeOf(OWN, "../../LICENSE"),
        ...folders.map((folder) => noticeOf(packageOf(folder), `${folder}/LICENSE`)),
      ];
      this.emitFile({ type: "asset", fileName: "LICENSES.txt", source: notices.join("\n\n") });
    },
  };
}

function noticeOf({ name, version, license }: Package, path: string): string {
  const title = `${name} ${version} (${license})`;
  return `${title}\n${"=".repeat(title.length)}\n\n${readFileSync(path, "utf8").trim()}\n`;
}

export default defineConfig({
  input: { frys: "src/page.ts" },
  platform: "browser",
  transform: { target: "es2022" },
  output: {
    dir: "dist/browser",
    format: "esm",
    minify: true,
    sourcemap: true,
    postBanner: BANNER,
    entryFileNames: "[name].js",
    chunkFileNames: ({ moduleIds }) => `${moduleIds.map((id) => packageNameOf(id)).find(Boolean) ?? "part"}-[hash].js`,
  },
  plugins: [licences()],
});

function packageNameOf(id: string): string | undefined {
  return PACKAGE_FOLDER.exec(id)?.[0].replace(/^.*\//, "");
}
