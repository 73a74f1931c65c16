/** Version history: the last versions that the viewer has received, within a bound of bytes, to step back through. */

/** What is known of any version. */
export interface Kept {
  readonly offset: number;
  readonly epoch: number;
  readonly bytes: number;
}

export class VersionHistory<V extends Kept> {
  readonly #maxBytes: number;
  readonly #maxVersions: number;
  #versions: V[] = [];
  #bytes = 0;

  constructor(maxBytes: number, maxVersions: number) {
    this.#maxBytes = maxBytes;
    this.#maxVersions = maxVersions;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get newest(): V | undefined {
    return this.#versions.at(-1);
  }

  get oldest(): V | undefined {
    return this.#versions[0];
  }

  get size(): number {
    return this.#versions.length;
  }

  /**
   * Add a version, in place of one of the same offset that came by another view. Those before it go as far as the bounds call for,
   * the last two never.
   */
  add(version: V): void {
    if (this.newest && this.newest.epoch !== version.epoch) {
      this.clear(); // another stream of the name, whose offsets begin anew
    }
    const place = this.#versions.findLastIndex(({ offset }) => offset <= version.offset);
    const isSame = this.#versions[place]?.offset === version.offset;
    const [replaced] = this.#versions.splice(isSame ? place : place + 1, isSame ? 1 : 0, version);
    this.#bytes += version.bytes - (replaced?.bytes ?? 0);
    while (this.size > 2 && (this.#bytes > this.#maxBytes || this.size > this.#maxVersions)) {
      this.#bytes -= this.#versions.shift()?.bytes ?? 0;
    }
  }

  clear(): void {
    this.#versions = [];
    this.#bytes = 0;
  }

  /** Return the last version at an offset or before it; the oldest if there is none. */
  at(offset: number): V | undefined {
    return this.#versions.findLast((version) => version.offset <= offset) ?? this.oldest;
  }

  /** Return the version before another one. */
  before(version: V): V | undefined {
    return this.#versions.findLast(({ offset }) => offset < version.offset);
  }

  /** Return the version that is so many steps from an offset, as far as there are any. */
  stepped(offset: number, steps: number): V | undefined {
    const from = this.#versions.findLastIndex((version) => version.offset <= offset);
    return this.#versions[Math.min(Math.max(from + steps, 0), this.size - 1)];
  }
}
