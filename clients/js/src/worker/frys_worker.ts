/** Program of the worker: sockets and decoding for the page that has started it. */

import { SYSTEM_CLOCK } from "../session/clock.ts";
import { SocketWires } from "../session/socket_wire.ts";
import type { Order } from "./posts.ts";
import { type PagePort, WireHost } from "./wire_host.ts";

/** The part of the scope of a dedicated worker that this program uses: the types of a page and of a worker exclude each other. */
interface WorkerScope extends PagePort {
  onmessage: ((event: MessageEvent<Order>) => void) | null;
}

const scope = globalThis as unknown as WorkerScope;
const host = new WireHost(
  scope,
  SYSTEM_CLOCK,
  (maxMessageBytes) =>
    new SocketWires(SYSTEM_CLOCK, { handsOver: true, ...(maxMessageBytes !== undefined && { maxMessageBytes }) }),
);
scope.onmessage = ({ data }) => host.receive(data);
