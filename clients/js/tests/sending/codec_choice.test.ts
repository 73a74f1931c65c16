import { expect, test } from "vitest";
import { encode } from "../../src/protocol/encoding.ts";
import { Opcode } from "../../src/protocol/wire.ts";
import { CodecChoice } from "../../src/sending/codec_choice.ts";
import { contentOf } from "../../src/sending/content.ts";
import { settled } from "../fakes.ts";
import { Random } from "../random.ts";
import { publishing } from "./publishing.ts";

const RAMP = Int32Array.from({ length: 8192 }, (_, index) => index);
const NOISE = new Random(7).bytes(32_768);

test("a sample decides, and shuffles where that is smaller", () => {
  expect(new CodecChoice().of(contentOf(new Uint8Array(32_768)))).toBe(1);
  expect(new CodecChoice().of(contentOf(RAMP))).toBe(4);
  expect(new CodecChoice().of(contentOf(NOISE))).toBeUndefined();
  expect(new CodecChoice().of(contentOf(new Uint8Array(16_383)))).toBeUndefined();
});

test("a choice is kept for 64 messages of one dtype and shape", () => {
  const choice = new CodecChoice();
  expect(choice.of(contentOf(new Uint8Array(32_768)))).toBe(1);
  const ways = Array.from({ length: 64 }, () => choice.of(contentOf(NOISE)));
  expect([new Set(ways.slice(0, 63)), ways[63]]).toEqual([new Set([1]), undefined]);
  expect(choice.of(contentOf(RAMP))).toBe(4);
});

test("as long as no sample pays, the next one comes after twice as many messages", () => {
  const choice = new CodecChoice();
  const taken = (value: Uint8Array): number => {
    let messages = 0;
    while (choice.of(contentOf(value)) === undefined) {
      messages++;
    }
    return messages;
  };
  for (let messages = 0; messages < 64 + 128; messages++) {
    choice.of(contentOf(NOISE));
  }
  expect(choice.of(contentOf(NOISE))).toBeUndefined(); // the third sample
  expect(taken(new Uint8Array(32_768))).toBe(255);
});

test("auto publishes what a sample shows to pay by lz4, whole or in chunks, and the rest plain", async () => {
  const { stage, client } = await publishing();
  client.publishNowait("wf/ramp", RAMP, { codec: "auto" });
  client.publishNowait("wf/noise", NOISE, { codec: "auto" });
  client.publishNowait("wf/large", new Int32Array(100_000), { codec: "auto" });
  await settled();
  const sent = stage.wire.taken();
  const wholes = sent.flatMap((each) => (each.opcode === Opcode.MESSAGE && !each.plan ? [each] : []));
  expect(wholes.map(({ encoding }) => encoding?.steps.map(({ param }) => param))).toEqual([[4, 0], undefined]);
  expect(wholes[0].payload).toEqual(encode(new Uint8Array(RAMP.buffer), 4)?.data);
  const chunks = sent.flatMap((each) => (each.opcode === Opcode.CHUNK ? [each.encoding] : []));
  expect(new Set(chunks.map((encoding) => encoding !== undefined))).toEqual(new Set([true]));
});

test("auto is plain for a gateway that does not take lz4", async () => {
  const { stage, client } = await publishing();
  await stage.again();
  stage.wire.lose();
  await stage.clock.pass(30_000);
  await stage.welcome({ codecs: [] });
  client.publishNowait("wf/ramp", RAMP, { codec: "auto" });
  await settled();
  expect(stage.wire.takenOf(Opcode.MESSAGE)[0].encoding).toBeUndefined();
});
