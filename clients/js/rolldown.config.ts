/**
 * The files for a script tag, in `dist/browser`.
 *
 * | file | content |
 * |---|---|
 * | `frys.js` | the client: connects, subscribes, reads; loads all other parts when they are first used |
 * | `frys_worker.js`, `frys_sockets.js` | socket and decoder: in a worker, or for pages whose policy forbids workers |
 * | names with a hash | parts that one of these loads: never those of another version |
 * | `LICENSES.txt` | licences of all code in the files |
 */

import { readFileSync } from "node:fs";
import { type CodeSplittingGroup, defineConfig, type Plugin, type RolldownOptions } from "rolldown";

interface Package {
  readonly name: string;
  readonly version: string;
  readonly license: string;
}

const OWN = packageOf(".");
const BANNER = `/*! ${OWN.name} ${OWN.version}, ${OWN.license}. Licences of bundled code: LICENSES.txt */`;
const SOCKETS = "./session/socket_wire.ts";
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

/**
 * Return the build of some entries: what they share becomes a part, and nothing of another build is in it.
 *
 * @param groups parts that have to be one file each, although others import some of their modules.
 */
function build(input: Record<string, string>, plugins: Plugin[], groups: CodeSplittingGroup[] = []): RolldownOptions {
  return {
    input,
    platform: "browser",
    optimization: { inlineConst: { mode: "all" } },
    treeshake: { propertyReadSideEffects: false, unknownGlobalSideEffects: false },
    transform: { target: "es2022" },
    output: {
      dir: "dist/browser",
      format: "esm",
      minify: true,
      sourcemap: true,
      comments: { annotation: false },
      postBanner: BANNER,
      entryFileNames: "[name].js",
      codeSplitting: { groups },
      chunkFileNames: ({ name, moduleIds }) => `${moduleIds.map(packageNameOf).find(Boolean) ?? name}-[hash].js`,
    },
    plugins,
  };
}

function packageNameOf(id: string): string | undefined {
  return PACKAGE_FOLDER.exec(id)?.[0].replace(/^.*\//, "");
}

/** Plugin that leaves socket and decoder to the other build: the page would otherwise load half of it for nothing. */
const FAR_SIDE: Plugin = {
  name: "far-side",
  resolveId: (source) => (source === SOCKETS ? { id: "./frys_sockets.js", external: true } : undefined),
};

export default defineConfig([
  build(
    { frys: "src/page.ts" },
    [FAR_SIDE],
    [
      { name: "client", tags: ["$initial"], priority: 1 },
      { name: "options", test: /\/option_fault\.ts$/, priority: 1 },
      { name: "sending", test: /\/sending_part\.ts$/ },
      { name: "views", test: /\/(view_fields|quantization)\.ts$/ },
    ],
  ),
  build({ frys_worker: "src/worker/frys_worker.ts", frys_sockets: "src/session/socket_wire.ts" }, [licences()]),
]);
