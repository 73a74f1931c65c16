/** A gateway in a process of its own, for tests. */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** Folder of the repository. */
export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const OWN_PYTHON = `${ROOT}.venv/bin/python`;
/** Python with the gateway's packages. */
export const PYTHON = existsSync(OWN_PYTHON) ? OWN_PYTHON : "python3";

export interface RunningGateway {
  readonly url: string;
  readonly adminUrl: string;
  /** Stop it by a signal, SIGTERM if none is given. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** Start a gateway on free ports. */
export async function startGateway(options: readonly string[] = []): Promise<RunningGateway> {
  const command = ["-m", "gateway", "serve", "--port", "0", "--admin-port", "0", "--log-level", "warning", ...options];
  const child = spawn(PYTHON, command, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface(child.stdout)) {
    const [, url, adminUrl] = /^listening on (\S+) \(admin (\S+)\)/.exec(line) ?? [];
    if (url) {
      return { url, adminUrl, stop: (signal) => stopped(child, signal) };
    }
  }
  throw new Error("the gateway has not started");
}

function stopped(child: ChildProcess, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) {
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill(signal);
  });
}
