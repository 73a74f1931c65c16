/** Queue of items that wait for the program, bounded by whoever puts them in. */

export class ReceiveQueue<T> {
  readonly #items: T[] = [];
  readonly #asking: { resolve(item: T | undefined): void; reject(error: Error): void }[] = [];
  #over = false;
  #error: Error | undefined;

  get over(): boolean {
    return this.#over;
  }

  get size(): number {
    return this.#items.length;
  }

  put(item: T): void {
    const asking = this.#asking.shift();
    if (asking) {
      asking.resolve(item);
    } else {
      this.#items.push(item);
    }
  }

  /** Wait for the next item; undefined: the queue has ended. Throws the error with which it ended. */
  async next(): Promise<T | undefined> {
    if (this.#items.length || (this.#over && !this.#error)) {
      return this.#items.shift();
    }
    if (this.#error) {
      throw this.#error;
    }
    return new Promise((resolve, reject) => this.#asking.push({ resolve, reject }));
  }

  /** End the queue: all that waits can still be taken, and then comes the error, if there is one. */
  end(error?: Error): void {
    if (this.#over) {
      return;
    }
    this.#over = true;
    this.#error = error;
    for (const { resolve, reject } of this.#asking.splice(0)) {
      if (error) {
        reject(error);
      } else {
        resolve(undefined);
      }
    }
  }
}
