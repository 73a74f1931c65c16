/** Send queue of one address: requests to a client or a group. */

import type { RequestRefused } from "../errors.ts";
import { writeSession } from "../protocol/session_body.ts";
import { Opcode } from "../protocol/wire.ts";
import type { Alias, Aliases, AliasOwner } from "../sending/aliases.ts";
import type { OutboundMessage } from "../sending/outbound_message.ts";
import { type Placed, SendQueue } from "../sending/send_queue.ts";
import type { Sender } from "../sending/sender.ts";
import type { Session } from "../session/session.ts";

/** Source of correlations. */
export interface Correlations {
  /** Give a message its correlation, by which answers name it. */
  correlate(message: OutboundMessage): bigint;
}

export class AddressQueue extends SendQueue implements AliasOwner {
  readonly address: string;
  readonly #aliases: Aliases;
  readonly #correlations: Correlations;
  #alias: Alias | undefined;

  constructor(sender: Sender, aliases: Aliases, address: string, correlations: Correlations) {
    super(sender);
    this.address = address;
    this.#aliases = aliases;
    this.#correlations = correlations;
  }

  /** Whether nothing waits and no alias is open. */
  get forgettable(): boolean {
    return this.idle && !this.#aliases.has(this.#alias);
  }

  protected override place(session: Session, message: OutboundMessage): Placed | undefined {
    if (session.draining) {
      return undefined;
    }
    const before: Uint8Array[] = [];
    if (!this.#aliases.has(this.#alias)) {
      this.#alias = this.#aliases.take(session, this, {});
      if (!this.#alias) {
        return undefined;
      }
      before.push(...writeSession({ opcode: Opcode.OPEN, alias: this.#alias.number, stream: this.address }));
    }
    this.#aliases.used(this.#alias);
    message.sequence = this.#correlations.correlate(message);
    return { stream: this.#alias.number, offset: message.sequence, before };
  }

  protected override written(): void {
    // A REPLY or an ERROR answers.
  }

  /** Have a request go out again, whose refusal says that it was not delivered; returns whether it may. */
  again(message: OutboundMessage, refusal: RequestRefused): boolean {
    const may = this.maySendAgain(message);
    if (may) {
      this.postpone(message, refusal);
    }
    return may;
  }

  /** Take note that the gateway took a request, or has ended it. */
  answered(message: OutboundMessage): void {
    this.forgetLarge(message);
    this.taken(message);
  }

  /** End a connection: what was not written goes out on the next one, from its beginning. */
  lost(): void {
    this.#alias = undefined;
    this.detached([]);
    for (const message of this.waiting) {
      message.begun = false;
    }
  }

  opened(): void {
    this.sender.wake(this);
  }

  refused(alias: Alias): void {
    // Its requests are refused one by one; later ones open it again.
    this.released(alias);
  }

  ended(alias: Alias): void {
    this.released(alias);
  }

  released(alias: Alias): void {
    if (this.#alias === alias) {
      this.#alias = undefined;
    }
  }
}
