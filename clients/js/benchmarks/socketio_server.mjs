// Sends arrays of float32 to the first page that connects, by Socket.IO with its msgpack parser; prints its URL.
// node socketio_server.mjs BYTES HZ SECONDS

import { createServer } from "node:http";
import { Server } from "socket.io";
import parser from "socket.io-msgpack-parser";

const [bytes, hz, seconds] = process.argv.slice(2).map(Number);
/** Packets that may wait in the server before it makes more. */
const MAX_WAITING = 64;

const numbers = Float32Array.from({ length: bytes / 4 }, () => Math.random());
const array = Buffer.from(numbers.buffer);
const http = createServer();
const server = new Server(http, { parser, cors: { origin: "*" }, maxHttpBufferSize: 1e8 });

server.on("connection", async (socket) => {
  const start = performance.now();
  for (let number = 0; performance.now() - start < 1000 * seconds; ) {
    const due = hz ? Math.floor(((performance.now() - start) * hz) / 1000) : number + MAX_WAITING;
    while (number < due && socket.conn.writeBuffer.length < MAX_WAITING) {
      socket.emit("array", array);
      number++;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.emit("array", Buffer.from(new Float32Array(1).buffer));
});
server.on("connection", (socket) => socket.on("disconnect", () => process.exit()));
http.listen(0, "127.0.0.1", () => process.stdout.write(`http://127.0.0.1:${http.address().port}\n`));
