/** Receiver load: what the messages cost this client, and what its program has not taken, for the gateway (spec section 7.10). */

import { Opcode } from "../protocol/wire.ts";
import type { Session } from "../session/session.ts";
import type { SubscriptionCore } from "./subscription_core.ts";
import { ToldPositions } from "./told_positions.ts";

/** Load since the last report. */
export interface Load {
  readonly decodedBytes: number;
  readonly decodeMs: number;
  /** Bytes that wait for the program, and the time since the oldest of them arrived. */
  readonly unreadBytes: number;
  readonly unreadMs: number;
}

export class ReceiverLoad {
  readonly #positions = new ToldPositions();
  #session: Session | undefined;

  /** Tell the gateway of the load. */
  report(session: Session, load: Load, cores: Iterable<SubscriptionCore>): void {
    if (session !== this.#session || !load.unreadBytes) {
      this.#positions.forget();
      this.#session = session;
    }
    session.signal({
      opcode: Opcode.REPORT,
      decoded_bytes: BigInt(load.decodedBytes),
      decode_ns: nsOf(load.decodeMs),
      unread_bytes: BigInt(load.unreadBytes),
      unread_ns: load.unreadBytes ? nsOf(load.unreadMs) : 0n,
      positions: load.unreadBytes ? this.#positions.changed(cores) : [],
    });
  }
}

function nsOf(ms: number): bigint {
  return BigInt(Math.round(ms * 1e6));
}
