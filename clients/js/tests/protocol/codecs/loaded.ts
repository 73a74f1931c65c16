/** Payloads of the golden vectors that a compressor has encoded, and damaged copies of them. */

import { expect } from "vitest";
import { Code } from "../../../src/errors.ts";
import type { Compressor } from "../../../src/protocol/codecs/abc.ts";
import { bytesFrom, load } from "../../conformance/vectors.ts";
import { Random } from "../../random.ts";

interface Sample {
  readonly data: Uint8Array;
  readonly decodedBytes: number;
}

/** Return what vectors have encoded by this compressor. */
export function samplesOf({ id }: Compressor): Sample[] {
  return load().flatMap(({ frames = [] }) =>
    frames.flatMap(({ encoding, payload }) => {
      const about = encoding as { decoded_bytes: string; steps: [number, number][] } | undefined;
      return about?.steps.at(-1)?.[0] === id && payload
        ? [{ data: bytesFrom(payload as string), decodedBytes: Number(about.decoded_bytes) }]
        : [];
    }),
  );
}

/** Check that damaged data is decoded to its declared size or refused as corrupt, and nothing else. */
export function expectDamageIsRefused(compressor: Compressor, rounds: number): void {
  const random = new Random(compressor.id);
  const samples = samplesOf(compressor);
  let refused = 0;
  for (let round = 0; round < rounds; round++) {
    const sample = random.of(samples);
    let data = sample.data.slice();
    data[random.below(data.length)] = random.below(256);
    if (random.below(4) === 0) {
      data = data.subarray(0, random.below(data.length));
    }
    try {
      compressor.checkSize(data, sample.decodedBytes);
      compressor.decodeInto(data, new Uint8Array(sample.decodedBytes));
    } catch (error) {
      expect(error).toMatchObject({ code: Code.CORRUPT_PAYLOAD });
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(rounds / 10);
}
