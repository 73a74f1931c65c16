/** Send queue of the replies to one asker, on one connection. */

import { Code, type RequestRefused } from "../errors.ts";
import type { OutboundMessage } from "../sending/outbound_message.ts";
import { type Placed, SendQueue } from "../sending/send_queue.ts";
import type { Sender } from "../sending/sender.ts";
import type { Session } from "../session/session.ts";

export class ReplyQueue extends SendQueue {
  readonly #peer: number;
  readonly #done: (queue: ReplyQueue) => void;

  /** @param done called when all replies are sent, and the large ones taken, so that the queue may be forgotten. */
  constructor(sender: Sender, peer: number, done: (queue: ReplyQueue) => void) {
    super(sender);
    this.#peer = peer;
    this.#done = done;
  }

  /** A large reply asks whether it is taken: nothing else answers it. */
  protected override get confirms(): boolean {
    return true;
  }

  protected override place(_session: Session, message: OutboundMessage): Placed {
    return { stream: this.#peer, offset: message.sequence ?? 0n, before: [] };
  }

  protected override written(message: OutboundMessage): void {
    if (!message.begun) {
      message.fields.sending?.taken(undefined);
    }
    this.#finish();
  }

  override resumed(transfer: number, index: number): void {
    super.resumed(transfer, index);
    this.#finish();
  }

  #finish(): void {
    if (this.idle && !this.isUnconfirmed) {
      this.#done(this);
    }
  }

  protected override unplaced(): void {
    // A reply keeps the correlation of its request.
  }

  /** Drop the replies to a request that nobody wants any more. */
  cancel(correlation: bigint): void {
    for (const message of this.#repliesTo(correlation)) {
      this.drop(message, Code.CANCELLED);
      message.fields.sending?.taken(undefined);
    }
    this.#finish();
  }

  /** Send a refused reply again, if it is a large one that found no room; returns whether a reply was meant. */
  refuse(correlation: bigint, refusal: RequestRefused): boolean {
    const [message] = this.#repliesTo(correlation);
    if (!message) {
      return false;
    }
    const again = refusal.action === "reconnect" || refusal.action === "reconnect_later";
    if (message.begun && again) {
      this.postpone(message, refusal);
    } else {
      this.drop(message);
      message.fields.sending?.failed(refusal);
      this.#finish();
    }
    return true;
  }

  #repliesTo(correlation: bigint): OutboundMessage[] {
    const all = new Set([...this.unconfirmed, ...this.waiting]);
    return [...all].filter(({ sequence }) => sequence === correlation);
  }
}
