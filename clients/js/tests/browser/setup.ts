/** A gateway for the tests in the browser; they learn its addresses by `inject`. */

import type { TestProject } from "vitest/node";
import { startGateway } from "../gateway.ts";

declare module "vitest" {
  interface ProvidedContext {
    url: string;
    adminUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const gateway = await startGateway();
  project.provide("url", gateway.url);
  project.provide("adminUrl", gateway.adminUrl);
  return gateway.stop;
}
