/**
 * The page, in `dist`: `index.html`, and scripts and styles in `assets` with the hash of their content in their names.
 *
 * The JavaScript client is not in them: the page loads `/client/frys.js` of its own gateway, so that both are of one version.
 */

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { defineConfig, type Plugin } from "rolldown";

const STYLES = "src/styles/";
const ENTRY = "dashboard";
const CLIENT = "/client/frys.js";

const client: Plugin = {
  name: "client",
  resolveId: (source) => (source === "@frys/client" ? { id: CLIENT, external: true } : undefined),
};

const WORKER = /new URL\("(\.[^"]+)", import\.meta\.url\)/;

/** Plugin that makes a file of the code of each worker, and puts its address where `new URL` names its source. */
const workers: Plugin = {
  name: "workers",
  transform: {
    filter: { code: WORKER },
    handler(code, id) {
      const [address, path] = WORKER.exec(code) ?? [];
      if (!address || !path) {
        return null;
      }
      const file = this.emitFile({ type: "chunk", id: join(dirname(id), path) });
      return { code: code.replace(address, `new URL(import.meta.ROLLUP_FILE_URL_${file})`) };
    },
  },
};

/** Plugin that joins the styles, tokens first, and writes the HTML that names them and the first script. */
const page: Plugin = {
  name: "page",
  generateBundle(_options, bundle) {
    const names = readdirSync(STYLES).filter((name) => name.endsWith(".css"));
    const ordered = ["tokens.css", ...names.filter((name) => name !== "tokens.css").sort()];
    const texts = [readFileSync("node_modules/uplot/dist/uPlot.min.css", "utf8")];
    texts.push(...ordered.map((name) => readFileSync(`${STYLES}${name}`, "utf8")));
    const styles = this.emitFile({ type: "asset", name: "dashboard.css", source: texts.join("\n") });
    const entry = Object.values(bundle).find((file) => file.type === "chunk" && file.name === ENTRY);
    const source = readFileSync("index.html", "utf8")
      .replace("%SCRIPT%", `/${entry?.fileName}`)
      .replace("%STYLES%", `/${this.getFileName(styles)}`);
    this.emitFile({ type: "asset", fileName: "index.html", source });
  },
};

export default defineConfig({
  input: { [ENTRY]: "src/main.tsx" },
  platform: "browser",
  makeAbsoluteExternalsRelative: false,
  transform: { target: "es2022" },
  output: {
    dir: "dist",
    format: "esm",
    minify: true,
    sourcemap: true,
    entryFileNames: "assets/[name]-[hash].js",
    chunkFileNames: "assets/[name]-[hash].js",
    assetFileNames: "assets/[name]-[hash][extname]",
  },
  plugins: [client, workers, page],
});
