// Sends arrays of float32 to the first page that connects, by `ws` or by Socket.IO with its msgpack parser; prints its URL.
// node server.mjs ELEMENTS HZ SECONDS hand|socketio; the arrays are read from stdin, as bytes, one behind the other

import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";
import { setImmediate, setTimeout } from "node:timers/promises";
import { Server } from "socket.io";
import parser from "socket.io-msgpack-parser";
import { WebSocketServer } from "ws";

const [elements, hz, seconds] = process.argv.slice(2).map(Number);
const way = process.argv[5];
/** Messages and bytes that may wait in the server before it makes more. */
const MAX_WAITING = 256;
const MAX_WAITING_BYTES = 8e6;

const bytes = await buffer(process.stdin);
const arrays = Array.from({ length: bytes.length / (4 * elements) }, (_, number) =>
  // Each in memory of its own: Socket.IO would send all of them with each.
  Buffer.from(new Uint8Array(bytes.subarray(4 * elements * number, 4 * elements * (number + 1))).buffer),
);

async function sendAll(send, hasRoom) {
  const start = performance.now();
  for (let number = 0; performance.now() - start < 1000 * seconds; ) {
    const due = hz ? Math.floor(((performance.now() - start) * hz) / 1000) : number + MAX_WAITING;
    while (number < due && hasRoom()) {
      send(arrays[number % arrays.length]);
      number++;
    }
    await (hz ? setTimeout(1) : setImmediate());
  }
  send(Buffer.from(new Float32Array(1).buffer));
}

const http = createServer();
if (way === "hand") {
  const server = new WebSocketServer({ server: http, perMessageDeflate: false });
  server.on("connection", (socket) => {
    socket.on("close", () => process.exit());
    const most = Math.min(MAX_WAITING_BYTES, MAX_WAITING * 4 * elements);
    sendAll(
      (array) => socket.send(array),
      () => socket.bufferedAmount < most,
    );
  });
} else {
  const server = new Server(http, { parser, cors: { origin: "*" }, maxHttpBufferSize: 1e8 });
  server.on("connection", (socket) => {
    socket.on("disconnect", () => process.exit());
    const most = Math.min(MAX_WAITING, Math.ceil(MAX_WAITING_BYTES / (4 * elements)));
    sendAll(
      (array) => socket.emit("array", array),
      () => socket.conn.writeBuffer.length < most,
    );
  });
}
const scheme = way === "hand" ? "ws" : "http";
http.listen(0, "127.0.0.1", () => process.stdout.write(`${scheme}://127.0.0.1:${http.address().port}\n`));
