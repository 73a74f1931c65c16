/** Choice of the far side of a client: a Web Worker or this thread. Only the one that is chosen is loaded. */

import { UsageError } from "./errors.ts";
import type { ClientOptions } from "./options.ts";
import { SYSTEM_CLOCK } from "./session/clock.ts";
import type { Wires } from "./session/wire.ts";
import { startWorker } from "./worker/start.ts";
import { WorkerWires } from "./worker/worker_wires.ts";

/**
 * Return the source of connections for a client.
 *
 * @throws UsageError a worker is wanted where there are none, or there is no WebSocket.
 */
export async function wiresFor(options: ClientOptions): Promise<Wires> {
  const { wires, worker, clock = SYSTEM_CLOCK, maxMessageBytes } = options;
  if (wires) {
    return wires;
  }
  const hasWorkers = typeof Worker === "function";
  if (worker && !hasWorkers) {
    throw new UsageError("this platform has no Web Workers: connect without worker: true");
  }
  // A program that runs in a worker itself has no page that a socket could hold up.
  if (worker ?? (hasWorkers && typeof document !== "undefined")) {
    return new WorkerWires(maxMessageBytes, startWorker, clock);
  }
  const { platformWires } = await import("./session/socket_wire.ts");
  return platformWires(clock, maxMessageBytes === undefined ? {} : { maxMessageBytes });
}
