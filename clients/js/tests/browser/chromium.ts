/** Chromium on this machine, which the tests in the browser run; undefined without one. */

import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const FOLDERS = (process.env.PATH ?? "").split(delimiter);

export const CHROMIUM = [
  process.env.CHROMIUM ?? "",
  ...NAMES.flatMap((name) => FOLDERS.map((folder) => join(folder, name))),
].find((path) => existsSync(path));

/** Arguments of Chromium without services of its own; root, as in containers, can run no sandbox. */
export const ARGUMENTS: readonly string[] = [
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-sandbox",
];
