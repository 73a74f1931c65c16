/** A gateway and a web server with the examples, for the tests in the browser; they learn the addresses by `inject`. */

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestProject } from "vitest/node";
import { startGateway } from "../gateway.ts";

declare module "vitest" {
  interface ProvidedContext {
    url: string;
    adminUrl: string;
    examplesUrl: string;
  }
}

const EXAMPLES = new URL("../../examples/", import.meta.url);

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const gateway = await startGateway();
  const server = createServer(({ url = "" }, response) => {
    const name = /^\/(\w+\.html)(?:\?|$)/.exec(url)?.[1];
    response.writeHead(name ? 200 : 404, { "content-type": "text/html" });
    response.end(name && readFileSync(new URL(name, EXAMPLES)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  project.provide("url", gateway.url);
  project.provide("adminUrl", gateway.adminUrl);
  project.provide("examplesUrl", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  return async () => {
    server.close();
    await gateway.stop();
  };
}
