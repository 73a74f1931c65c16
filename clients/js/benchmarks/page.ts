/** The page that is measured. It takes arrays in one of several ways, and checks that they are those that were sent. */

import { io } from "socket.io-client";
import * as parser from "socket.io-msgpack-parser";
import { ARRAYS, arrayOf, type Load, type Run, type Way } from "./ways.ts";

/** Elements of a large array between two that are compared; of the next array those beside them. */
const COMPARED_EVERY = 32;
/** Elements up to which all are compared. */
const SMALL = 1024;
/** Of arrays that come as fast as they go, each of this number tells its time from publish to callback; of others all do. */
const TIMED_EVERY = 16;

type Received = (numbers: Float32Array, publishedMs?: () => number) => void;
/** Connect to an address, receive a stream; call `ready` when arrays may come. Returns how to end. */
type Receive = (url: string, stream: string, received: Received, ready: () => void) => Promise<() => unknown>;

function byClient(worker: boolean): Receive {
  return async (url, stream, received, ready) => {
    const path = "/frys.js";
    const { connect }: typeof import("../src/page.ts") = await import(path);
    const client = await connect(url, { worker });
    await client.subscribe(stream, {
      onMessage: ({ tensor, timestampNs }) =>
        received(tensor.data as Float32Array, () => Number(timestampNs / 1000n) / 1000),
    });
    ready();
    return () => client.close();
  };
}

const byHand: Receive = async (url, _stream, received) => {
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => received(new Float32Array(data));
  return () => socket.close();
};

/** The least of `frys.v1` that gets whole, plain messages: no credit, no accounts, no checks. */
const byHandThroughGateway: Receive = async (url, stream, received, ready) => {
  const socket = new WebSocket(url, "frys.v1");
  socket.binaryType = "arraybuffer";
  const say = (opcode: number, body: object): void => {
    const text = new TextEncoder().encode(JSON.stringify(body));
    const frame = new Uint8Array((8 + text.length + 7) & ~7);
    new DataView(frame.buffer).setUint32(0, 8 + text.length, true);
    frame[4] = opcode;
    frame.set(text, 8);
    socket.send(frame);
  };
  const answer = (ping: bigint): void => {
    const nowNs = BigInt(Math.round(1000 * (performance.timeOrigin + performance.now()))) * 1000n;
    const pong = new DataView(new ArrayBuffer(32));
    pong.setUint32(0, 32, true);
    pong.setUint8(4, 0x1e);
    [ping, nowNs, nowNs].forEach((time, index) => {
      pong.setBigInt64(8 + 8 * index, time, true);
    });
    socket.send(pong);
  };
  socket.onopen = () => say(0x01, { client_type: "agent", versions: [1], codecs: [], filters: [] });
  socket.onmessage = ({ data }) => {
    const view = new DataView(data);
    for (let at = 0; at < data.byteLength; ) {
      const frameBytes = view.getUint32(at, true);
      const opcode = view.getUint8(at + 4);
      if (opcode === 0x10) {
        const payload = at + 32 + 8 * view.getUint16(at + 6, true);
        const publishedNs = view.getBigInt64(at + 24, true);
        const numbers = new Float32Array(data, payload, (at + frameBytes - payload) / 4);
        received(numbers, () => Number(publishedNs / 1000n) / 1000);
      } else if (opcode === 0x1d) {
        answer(view.getBigInt64(at + 8, true));
      } else if (opcode === 0x02) {
        say(0x07, { request: 1, subscription: 1, pattern: stream });
      } else if (opcode === 0x08) {
        ready();
      }
      at += (frameBytes + 7) & ~7;
    }
  };
  return () => socket.close();
};

const bySocketIo: Receive = async (url, _stream, received) => {
  const socket = io(url, { parser, transports: ["websocket"] });
  // Its bytes are a view of the whole message, at any place.
  socket.on("array", (bytes: ArrayBuffer | Uint8Array) => received(new Float32Array(new Uint8Array(bytes).buffer)));
  return () => socket.close();
};

const RECEIVE: Readonly<Record<Way, Receive>> = {
  worker: byClient(true),
  page: byClient(false),
  hand: byHand,
  relay: byHandThroughGateway,
  socketio: bySocketIo,
};

/** Draw nothing once a frame, and note the time of each. */
function watchFrames(): { readonly gaps: number[]; stop(): void } {
  const gaps: number[] = [];
  let last = performance.now();
  let handle = requestAnimationFrame(function frame(now) {
    gaps.push(now - last);
    last = now;
    handle = requestAnimationFrame(frame);
  });
  return { gaps, stop: () => cancelAnimationFrame(handle) };
}

/** Compare an array with the one that was sent. */
function check(numbers: Float32Array, sent: Float32Array, count: number): void {
  const step = sent.length > SMALL ? COMPARED_EVERY : 1;
  let wrong = numbers.length !== sent.length;
  for (let index = count % step; !wrong && index < sent.length; index += step) {
    wrong = numbers[index] !== sent[index];
  }
  if (wrong) {
    throw new Error(`array ${count} has ${numbers.length} elements that are not the ${sent.length} that were sent`);
  }
}

/** Receive arrays until one of a single element ends them. */
async function receive(way: Way, load: Load, url: string, stream: string): Promise<Run> {
  const sent = Array.from({ length: ARRAYS }, (_, number) => arrayOf(number, load));
  const ages: number[] = [];
  let [arrays, firstMs, lastMs] = [0, 0, 0];
  let frames = watchFrames();
  let end: () => unknown = () => undefined;
  await new Promise<void>((resolve, reject) => {
    const received: Received = (numbers, publishedMs) => {
      if (numbers.length === 1) {
        resolve();
        return;
      }
      try {
        check(numbers, sent[arrays % ARRAYS], arrays);
      } catch (error) {
        reject(error);
      }
      lastMs = performance.now();
      if (!arrays) {
        frames.stop();
        frames = watchFrames();
        firstMs = lastMs;
        void tell("begun");
      }
      if (publishedMs && (load.hz || arrays % TIMED_EVERY === 0)) {
        ages.push(performance.timeOrigin + lastMs - publishedMs());
      }
      arrays++;
    };
    RECEIVE[way](url, stream, received, () => void tell("ready")).then((ending) => {
      end = ending;
    }, reject);
  });
  frames.stop();
  await tell("ended");
  await end();
  return { arrays: arrays - 1, seconds: (lastMs - firstMs) / 1000, gaps: frames.gaps, ages };
}

/** Tell an event; done when it is handled. */
async function tell(event: string): Promise<void> {
  await fetch(`/${event}`, { method: "POST" });
}

Object.assign(globalThis, { receive });
