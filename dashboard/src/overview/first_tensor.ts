/** Examples that publish a first tensor, and that tensor as a `.npy` file. */

export function pythonExample(socket: string): string {
  return `import numpy as np
from gateway.client.sync import connect

with connect("${socket}") as client:
    client.publish("demo/first", np.random.rand(64, 64).astype("float32"))
`;
}

export function javascriptExample(origin: string, socket: string): string {
  return `import { connect, Tensor } from "${origin}/client/frys.js";

const client = await connect("${socket}");
const numbers = Float32Array.from({ length: 4096 }, Math.random);
await client.publish("demo/first", Tensor.from(numbers, [64, 64]));
`;
}

export function curlExample(origin: string): string {
  return `python -c 'import numpy as np; np.save("a.npy", np.random.rand(64, 64))'
curl -T a.npy ${origin}/api/v1/streams/demo/first
`;
}

/** Rows and columns of the tensor. */
const SIDE = 64;
/** Bytes of a header of version 1.0, with those before its text: the data begins at a multiple of 64. */
const HEADER_BYTES = 128;

/** Return a `.npy` file of float32: two waves that cross, so that its heat map shows something. */
export function npyOf(): Blob {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${SIDE}, ${SIDE}), }`;
  const head = new Uint8Array(HEADER_BYTES).fill(0x20);
  head.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, HEADER_BYTES - 10, 0]);
  head.set(new TextEncoder().encode(text), 10);
  head[HEADER_BYTES - 1] = 0x0a;
  const values = Float32Array.from(
    { length: SIDE * SIDE },
    (_, index) => Math.sin((index % SIDE) / 6) * Math.cos(Math.floor(index / SIDE) / 9),
  );
  return new Blob([head, values]);
}
