// An agent in Node: takes fields, publishes their means. Run it with the URL of a gateway: node means.mjs ws://127.0.0.1:8765

import { connect } from "@frys/client";

const client = await connect(process.argv[2] ?? "ws://127.0.0.1:8765", { clientType: "agent", clientId: "means" });
process.once("SIGTERM", () => client.close());

for await (const { stream, tensor } of await client.subscribe("fields/*")) {
  const sum = tensor.data.reduce((sofar, value) => sofar + value, 0);
  await client.publish(`means/${stream.split("/")[1]}`, Float64Array.of(sum / tensor.size), { kind: "event" });
}
