/** Takers: callers that wait for the next item of a queue, and the end of the queue. */

export class Takers<T> {
  readonly #waiting: { resolve(item: T | undefined): void; reject(error: Error): void }[] = [];
  #over = false;
  #error: Error | undefined;

  /** Whether the queue has ended: what is in it can still be taken. */
  get over(): boolean {
    return this.#over;
  }

  /** Error of the end. */
  get error(): Error | undefined {
    return this.#error;
  }

  /** Hand an item to whoever waits longest; returns false if nobody waits. */
  hand(item: T): boolean {
    const taker = this.#waiting.shift();
    taker?.resolve(item);
    return taker !== undefined;
  }

  /** Wait for the next item of a queue in which there is none; undefined: it has ended. Throws the error of its end. */
  async next(): Promise<T | undefined> {
    if (this.#error) {
      throw this.#error;
    }
    return this.#over ? undefined : new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** End the queue, with the error that comes behind what is in it; the first end counts. */
  end(error?: Error): void {
    if (this.#over) {
      return;
    }
    this.#over = true;
    this.#error = error;
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      if (error) {
        reject(error);
      } else {
        resolve(undefined);
      }
    }
  }
}
