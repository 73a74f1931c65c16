import { expect, test } from "vitest";
import { PartialTransfers } from "../../src/decoding/partial_transfers.ts";
import { Code } from "../../src/errors.ts";
import type { DataFrame } from "../../src/protocol/data.ts";
import { Opcode } from "../../src/protocol/wire.ts";

const META = { specs: [], headers: null, payload_bytes: 8192 };

function frame(transfer: number, changes: Partial<DataFrame> = {}): DataFrame {
  return {
    opcode: Opcode.MESSAGE,
    flags: 0,
    stream: 1,
    publisher: 2,
    offset: 0n,
    timestamp_ns: 3n,
    meta: Uint8Array.of(1, 2),
    payload: new Uint8Array(0),
    plan: { transfer, chunk_bytes: 4096, payload_bytes: 8192 },
    ...changes,
  };
}

function begin(transfers: PartialTransfers, found: DataFrame, resumableAs?: string): void {
  transfers.begin({ frame: found, meta: META, base: undefined, resumableAs }, 10_000);
}

function chunk(transfers: PartialTransfers, transfer: number, index: number): void {
  transfers.get(transfer)?.assembler.receive({ transfer, index, encoding: undefined, data: new Uint8Array(4096) });
}

test("the most advanced transfer of each stream may go on on the next connection", () => {
  const transfers = new PartialTransfers();
  begin(transfers, frame(1), "wf/a");
  begin(transfers, frame(2), "wf/a");
  begin(transfers, frame(3), "wf/b");
  begin(transfers, frame(4));
  chunk(transfers, 2, 0);
  chunk(transfers, 4, 0);
  expect(transfers.leave()).toEqual({ "wf/a": [2, 1] });
  begin(transfers, frame(2, { extensions: { resuming: true } }), "wf/a");
  chunk(transfers, 2, 1);
  expect(transfers.end(2)?.assembler.complete).toBe(true);
  expect(transfers.get(2)).toBeUndefined();
});

test.each<[string, Partial<DataFrame>]>([
  ["publisher", { publisher: 9 }],
  ["time", { timestamp_ns: 9n }],
  ["meta block", { meta: Uint8Array.of(1, 3) }],
  ["plan", { plan: { transfer: 1, chunk_bytes: 4096, payload_bytes: 9000 } }],
])("another %s is another message", (_, changes) => {
  const transfers = new PartialTransfers();
  begin(transfers, frame(1), "wf/a");
  chunk(transfers, 1, 0);
  transfers.leave();
  const resumed = frame(1, { ...changes, extensions: { resuming: true } });
  expect(() => begin(transfers, resumed, "wf/a")).toThrow(expect.objectContaining({ code: Code.BROKEN_TRANSFER }));
});

test("what a newer version has replaced does not go on", () => {
  const transfers = new PartialTransfers();
  begin(transfers, frame(1), "wf/a");
  chunk(transfers, 1, 0);
  transfers.leave();
  transfers.forget("wf/a");
  expect(() => begin(transfers, frame(1, { extensions: { resuming: true } }), "wf/a")).toThrow();
});

test("large messages on their way are bounded", () => {
  const transfers = new PartialTransfers();
  for (let transfer = 0; transfer < 64; transfer++) {
    begin(transfers, frame(transfer));
  }
  expect(() => begin(transfers, frame(64))).toThrow(expect.objectContaining({ code: Code.LIMIT_EXCEEDED }));
});
