/** Credit of one subscription: what its messages have taken, and what it grants again (spec section 7.5). */

import type { Credits } from "../protocol/messages.ts";
import { Opcode } from "../protocol/wire.ts";
import type { Session } from "../session/session.ts";

/** Credit that one message has taken, on the session on which it came. */
export interface TakenCredit {
  readonly session: Session;
  readonly bytes: number;
}

export class CreditAccount {
  readonly window: Credits;
  #session: Session | undefined;
  #number = 0;
  #freeMessages = 0;
  #freeBytes = 0n;

  constructor(window: Credits) {
    this.window = window;
  }

  /** Start on a new session with the full window. */
  begin(session: Session, number: number): void {
    this.#session = session;
    this.#number = number;
    this.#freeMessages = 0;
    this.#freeBytes = 0n;
  }

  /** Return the credit that a message takes now. */
  take(bytes: number): TakenCredit | undefined {
    return this.#session && { session: this.#session, bytes };
  }

  /** Free what a message has taken: it does not wait any more. Credit of an earlier session is void. */
  free(taken: TakenCredit | undefined): void {
    const session = this.#session;
    if (!taken || !session?.open || taken.session !== session) {
      return;
    }
    this.#freeMessages++;
    this.#freeBytes += BigInt(taken.bytes);
    if (2 * this.#freeMessages >= this.window.messages || 2n * this.#freeBytes >= this.window.bytes) {
      const [messages, nbytes] = [this.#freeMessages, this.#freeBytes];
      this.#freeMessages = 0;
      this.#freeBytes = 0n;
      session.signal({ opcode: Opcode.CREDIT, subscription: this.#number, messages, nbytes });
    }
  }
}
