/** The example for Node runs as it is, with the package as it was built. */

import { spawn } from "node:child_process";
import { expect, onTestFinished, test } from "vitest";
import { connect } from "../../src/client.ts";
import { startGateway } from "./gateway.ts";

test("means.mjs publishes the mean of each field", async () => {
  const { url } = await startGateway();
  const agent = spawn(process.execPath, ["examples/means.mjs", url], { stdio: "inherit" });
  onTestFinished(() => void agent.kill());
  const client = await connect(url);
  onTestFinished(() => client.close());
  const means = await client.subscribe("means/*", { since: "beginning" });
  await client.publish("fields/one", Float32Array.of(1, 2, 6), { kind: "state" });
  for await (const message of means) {
    expect([message.stream, message.tensor.at(0)]).toEqual(["means/one", 3]);
    break;
  }
});
