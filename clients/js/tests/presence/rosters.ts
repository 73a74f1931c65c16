/** Members and MEMBERS for tests. */

import type { Members, PresentMember } from "../../src/protocol/presence.ts";
import { Opcode } from "../../src/protocol/wire.ts";

export function member(client_id: string, fields: Partial<PresentMember> = {}): PresentMember {
  return { client_id, client_type: "agent", peer: 1, generation: 1, metadata: {}, ...fields };
}

export function members(fields: Partial<Members>): Members {
  return { opcode: Opcode.MEMBERS, scope: "wf", count: 0, ...fields };
}
