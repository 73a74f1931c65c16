/** Parts of a SUBSCRIBE that names many positions (spec section 4.2). */

import type { Counts, Position, SessionMessage, Subscribe } from "../protocol/messages.ts";
import type { StreamPart } from "./subscription_position.ts";

/** Most bytes that one stream takes in `since` and `account`, beside twice its name. */
const ENTRY_BYTES = 256;
/** Most bytes that one stream takes in `resume`, beside its name. */
const RESUME_BYTES = 32;
/** Most bytes of all that is not about one stream. */
const REST_BYTES = 4096;

/**
 * Return a SUBSCRIBE in as many parts as it needs.
 *
 * @param request SUBSCRIBE without positions; its `resume` goes with the first part.
 * @param maxBytes bound on the frame of each part.
 */
export function partsOf(request: Subscribe, streams: readonly StreamPart[], maxBytes: number): SessionMessage[] {
  const room = Math.max(1, maxBytes - REST_BYTES);
  const { opcode, request: number, subscription, pattern, resume } = request;
  const parts: Subscribe[] = [];
  let since: Record<string, Position> = {};
  let account: Record<string, Counts> = {};
  let used = Object.keys(resume ?? {}).reduce((sum, stream) => sum + stream.length + RESUME_BYTES, 0);
  for (const { stream, position, counts } of streams) {
    const size = 2 * stream.length + ENTRY_BYTES;
    if (used + size > room && used) {
      const first = parts.length ? undefined : resume;
      parts.push({ opcode, request: number, subscription, pattern, since, resume: first, account, more: true });
      since = {};
      account = {};
      used = 0;
    }
    since[stream] = position;
    account[stream] = counts;
    used += size;
  }
  return [...parts, { ...request, since, account, resume: parts.length ? undefined : resume }];
}
