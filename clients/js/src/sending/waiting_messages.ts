/** Messages of one send queue that wait, in the order in which they are to be sent. */

import type { OutboundMessage } from "./outbound_message.ts";

export class WaitingMessages {
  #messages: OutboundMessage[] = [];
  #heldBytes = 0;

  get size(): number {
    return this.#messages.length;
  }

  /** Memory that they hold. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Message that is to be sent next. */
  get first(): OutboundMessage | undefined {
    return this.#messages[0];
  }

  [Symbol.iterator](): Iterator<OutboundMessage> {
    return this.#messages[Symbol.iterator]();
  }

  /** Put a message behind all others. */
  add(message: OutboundMessage): void {
    this.#messages.push(message);
    this.#heldBytes += message.heldBytes;
  }

  /** Take a message out, if it waits. */
  remove(message: OutboundMessage): void {
    const at = this.#messages.indexOf(message);
    if (at === 0) {
      this.#messages.shift();
    } else if (at > 0) {
      this.#messages.splice(at, 1);
    }
    if (at >= 0) {
      this.#heldBytes -= message.heldBytes;
    }
  }

  /** Put the parts of the first message in its place. */
  divideFirst(parts: readonly OutboundMessage[]): void {
    this.#set([...parts, ...this.#messages.slice(1)]);
  }

  /** Put messages that were sent before to their places among the others. */
  putBack(messages: readonly OutboundMessage[]): void {
    this.#set(inOrder([...new Set([...messages, ...this.#messages])]));
  }

  /** Take all out. */
  takeAll(): OutboundMessage[] {
    const messages = this.#messages;
    this.#set([]);
    return messages;
  }

  #set(messages: OutboundMessage[]): void {
    this.#messages = messages;
    this.#heldBytes = messages.reduce((sum, { heldBytes }) => sum + heldBytes, 0);
  }
}

/**
 * Return messages in the order in which they are to be sent: first those that an earlier connection may have carried, by their
 * sequences, which only grow on an alias; then all others in the order of the calls.
 */
function inOrder(messages: readonly OutboundMessage[]): OutboundMessage[] {
  const isPlaced = ({ sequence, lostMs, begun }: OutboundMessage): boolean =>
    sequence !== undefined && (lostMs !== undefined || begun);
  const placed = messages.filter(isPlaced).sort((a, b) => Number((a.sequence ?? 0n) - (b.sequence ?? 0n)));
  const others = messages.filter((message) => !isPlaced(message)).sort((a, b) => a.turn - b.turn);
  return [...placed, ...others];
}
