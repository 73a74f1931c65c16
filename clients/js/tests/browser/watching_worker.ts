/** The worker of the client, which also tells whether buffers have left it: after each report, the bytes that it still has. */

import { SYSTEM_CLOCK } from "../../src/session/clock.ts";
import { SocketWires } from "../../src/session/socket_wire.ts";
import { WireHost } from "../../src/worker/wire_host.ts";

const scope = globalThis as unknown as DedicatedPort;

interface DedicatedPort {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown, transfer?: ArrayBuffer[]): void;
}

const port = {
  postMessage(report: unknown, transfer: ArrayBuffer[]) {
    const before = transfer.reduce((sum, { byteLength }) => sum + byteLength, 0);
    scope.postMessage(report, transfer);
    const after = transfer.reduce((sum, { byteLength }) => sum + byteLength, 0);
    scope.postMessage({ buffers: transfer.length, before, after });
  },
};
const host = new WireHost(port, SYSTEM_CLOCK, () => new SocketWires(SYSTEM_CLOCK, { handsOver: true }));
scope.onmessage = ({ data }) => host.receive(data);
