/** Random numbers that a seed determines. */

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** Return an integer from 0 to below `limit` (mulberry32). */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  /** Return bytes from 0 to below `limit`. */
  bytes(size: number, limit = 256): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length: size }, () => this.below(limit));
  }

  /** Return one of several values. */
  of<T>(values: readonly T[]): T {
    return values[this.below(values.length)];
  }
}
