import { expect, test } from "vitest";
import { Code, InvalidArgument } from "../../src/errors.ts";
import { joined } from "../../src/protocol/buffers.ts";
import { encode } from "../../src/protocol/encoding.ts";
import { iterFrames } from "../../src/protocol/frames.ts";
import {
  Assembler,
  type Chunk,
  type ChunkPlan,
  chunkCount,
  chunkSize,
  parseChunk,
  parsePlan,
  writeChunk,
  writePlan,
} from "../../src/protocol/transfers.ts";
import { Random } from "../random.ts";

const PLAN: ChunkPlan = { transfer: 3, chunk_bytes: 4096, payload_bytes: 10_000 };
const PAYLOAD = new Random(1).bytes(PLAN.payload_bytes, 3);

function chunk(index: number, isEncoded = false): Chunk {
  const start = index * PLAN.chunk_bytes;
  const data = PAYLOAD.subarray(start, start + PLAN.chunk_bytes);
  const encoded = isEncoded ? encode(data) : undefined;
  const message = joined(writeChunk(PLAN.transfer, index, [encoded?.data ?? data], encoded?.encoding));
  const [frame] = iterFrames(message);
  return parseChunk(message, frame);
}

test("a plan has as many chunks as it needs", () => {
  expect(chunkCount(PLAN)).toBe(3);
  expect([0, 1, 2, 3].map((index) => chunkSize(PLAN, index))).toEqual([4096, 4096, 1808, 0]);
  expect(parsePlan(writePlan(PLAN), 0)).toEqual(PLAN);
});

test.each<Partial<ChunkPlan>>([
  { chunk_bytes: 4095 },
  { chunk_bytes: 4160 + 1 },
  { chunk_bytes: 2 ** 23 },
  { payload_bytes: 0 },
])("%o is no plan", (change) => {
  expect(() => writePlan({ ...PLAN, ...change })).toThrow(InvalidArgument);
});

test.each([false, true])("chunks become the payload, encoded: %s", (isEncoded) => {
  const assembler = new Assembler(PLAN);
  for (const index of [0, 1, 2]) {
    expect(assembler.complete).toBe(false);
    assembler.receive(chunk(index, isEncoded));
  }
  expect(assembler.payload()).toEqual(PAYLOAD);
});

test.each<[string, Chunk[]]>([
  ["expects chunk 0 of 3", [chunk(1)]],
  ["expects chunk 1 of 3", [chunk(0), chunk(0)]],
  ["transfer 3 expects", [{ ...chunk(0), transfer: 4 }]],
  ["its plan says 4096", [{ ...chunk(0), data: PAYLOAD.subarray(0, 4095) }]],
  ["expects chunk 3 of 3", [chunk(0), chunk(1), chunk(2), { ...chunk(0), index: 3 }]],
])("a chunk is refused: %s", (problem, chunks) => {
  const assembler = new Assembler(PLAN);
  const last = chunks[chunks.length - 1];
  chunks.slice(0, -1).forEach((good) => {
    assembler.receive(good);
  });
  expect(() => assembler.receive(last)).toThrow(problem);
  expect(() => assembler.receive(last)).toThrow("expects no further chunk");
});

test("END that comes too early", () => {
  const assembler = new Assembler(PLAN);
  assembler.receive(chunk(0));
  expect(() => assembler.payload()).toThrow("ended after 4096 of 10000 bytes");
});

test.each([
  [9_999, PLAN.payload_bytes],
  [2 ** 60, 2 ** 50],
])("of a limit of %i bytes, %i are too many", (limit, size) => {
  expect(() => new Assembler({ ...PLAN, payload_bytes: size }, limit)).toThrow(
    expect.objectContaining({ code: Code.MESSAGE_TOO_BIG }),
  );
});
