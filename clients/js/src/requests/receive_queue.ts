/** Queue of items that wait for the program, bounded by whoever puts them in. */

import { Takers } from "../messages/takers.ts";

export class ReceiveQueue<T> {
  readonly #items: T[] = [];
  readonly #takers = new Takers<T>();

  get over(): boolean {
    return this.#takers.over;
  }

  get size(): number {
    return this.#items.length;
  }

  put(item: T): void {
    if (!this.#takers.hand(item)) {
      this.#items.push(item);
    }
  }

  /** Wait for the next item; undefined: the queue has ended. Throws the error with which it ended. */
  async next(): Promise<T | undefined> {
    return this.#items.shift() ?? this.#takers.next();
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
