/** Clients that publish, and answers of the gateway that a test plays. */

import { Client } from "../../src/client.ts";
import type { Refusal } from "../../src/protocol/messages.ts";
import type { Ack } from "../../src/protocol/signals.ts";
import { Opcode } from "../../src/protocol/wire.ts";
import { type Stage, staged } from "../fakes.ts";

export const SMALL = Uint8Array.of(1);
export const LARGE = Uint8Array.from({ length: 200_000 }, (_, index) => index);

export function ack(sequence: bigint, offset: bigint, fields: Partial<Ack> = {}): Ack {
  return { opcode: Opcode.ACK, alias: 0, count: 1, sequence, offset, durability: "memory", repeated: false, ...fields };
}

export function refusal(code: number, fields: Partial<Refusal> = {}): Refusal {
  return { opcode: Opcode.ERROR, code, error: "", message: "no", alias: 0, count: 1, ...fields };
}

export async function publishing(options = {}): Promise<{ stage: Stage; client: Client }> {
  const stage = await staged(options);
  return { stage, client: new Client(stage.parts) };
}

export function namesOf(stage: Stage): string[] {
  const names = new Map(Object.entries(Opcode).map(([name, opcode]) => [opcode as number, name]));
  return stage.wire.taken().map(({ opcode }) => names.get(opcode) ?? "");
}
