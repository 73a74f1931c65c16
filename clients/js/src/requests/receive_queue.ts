/** Queue of items that wait for the program, bounded by whoever puts them in. */

import { Takers } from "../messages/takers.ts";

export class ReceiveQueue<T> {
  readonly #items: T[] = [];
  readonly #takers = new Takers<T>();
  readonly #bytesOf: (item: T) => number;
  #bytes = 0;

  /** @param bytesOf returns the memory of an item. */
  constructor(bytesOf: (item: T) => number) {
    this.#bytesOf = bytesOf;
  }

  get over(): boolean {
    return this.#takers.over;
  }

  get size(): number {
    return this.#items.length;
  }

  /** Memory of what waits. */
  get bytes(): number {
    return this.#bytes;
  }

  put(item: T): void {
    if (!this.#takers.hand(item)) {
      this.#items.push(item);
      this.#bytes += this.#bytesOf(item);
    }
  }

  /** Wait for the next item; undefined: the queue has ended. Throws the error with which it ended. */
  async next(): Promise<T | undefined> {
    const item = this.#items.shift();
    this.#bytes -= item === undefined ? 0 : this.#bytesOf(item);
    return item ?? this.#takers.next();
  }

  /** Take all that waits. */
  taken(): T[] {
    return this.#items.splice(0);
  }

  /** End the queue: all that waits can still be taken, and then comes the error, if there is one. */
  end(error?: Error): void {
    this.#takers.end(error);
  }
}
