/** The scripts of the README that use no library run: the JSON subprotocol is for those. */

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import { webSocketType } from "../../src/session/web_sockets.ts";
import { startGateway } from "./gateway.ts";

const README = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
const [, SCRIPT, COMMAND] = /## Without the library\n.*?```js\n(.*?)```.*?```sh\n(.*?)```/s.exec(README) ?? [];
const ADDRESS = "ws://127.0.0.1:8765";

/** Run the script; returns what it prints first. */
async function firstPrinted(url: string): Promise<unknown[]> {
  const Platform = await webSocketType();
  return new Promise((resolve) => {
    class Socket extends Platform {
      constructor(address: string, subprotocol: string) {
        super(address.replace(ADDRESS, url), subprotocol);
        onTestFinished(() => this.close());
      }
    }
    new Function("WebSocket", "console", SCRIPT)(Socket, { log: (...values: unknown[]) => resolve(values) });
  });
}

test("the script publishes and receives", async () => {
  const { url } = await startGateway();
  expect(await firstPrinted(url)).toEqual(["page-1/loss", Float32Array.of(1, 2)]);
});

test("the command shows what arrives", async () => {
  const { url } = await startGateway();
  const shell = spawn("sh", ["-c", COMMAND.replace(ADDRESS, url)], { stdio: ["pipe", "pipe", "inherit"] });
  onTestFinished(() => void shell.kill());
  for await (const line of createInterface(shell.stdout)) {
    if (line.includes('"message_type":"subscribed"')) {
      await firstPrinted(url);
    } else if (line.includes('"message_type":"message"')) {
      expect(line).toContain('"data":"AACAPwAAAEA="');
      return;
    }
  }
  expect.unreachable("the command has ended before a message arrived");
});
