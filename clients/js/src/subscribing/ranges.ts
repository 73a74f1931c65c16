/** Ranges: sets of integers that mostly follow one another, such as processed offsets and sequences. */

export class Ranges {
  readonly #limit: number;
  readonly #ranges: [first: bigint, last: bigint][] = [];

  /** @param limit largest number of ranges; past it the lowest gap is closed, as if its numbers were in the set. */
  constructor(limit = 1024) {
    this.#limit = limit;
  }

  [Symbol.iterator](): Iterator<readonly [first: bigint, last: bigint]> {
    return this.#ranges[Symbol.iterator]();
  }

  /** Put `first` to `last` into the set. */
  add(first: bigint, last: bigint): void {
    const ranges = this.#ranges;
    const newest = ranges.at(-1);
    if (newest && newest[1] + 1n === first) {
      newest[1] = last;
      return;
    }
    const low = ranges.findIndex((range) => range[1] + 1n >= first);
    const at = low < 0 ? ranges.length : low;
    let end = at;
    let [from, to] = [first, last];
    for (; end < ranges.length && ranges[end][0] <= last + 1n; end++) {
      from = leastOf(from, ranges[end][0]);
      to = -leastOf(-to, -ranges[end][1]);
    }
    ranges.splice(at, end - at, [from, to]);
    if (ranges.length > this.#limit) {
      ranges.splice(0, 2, [ranges[0][0], ranges[1][1]]);
    }
  }

  /** Return whether all of `first` to `last` is in the set. */
  covers(first: bigint, last: bigint): boolean {
    return this.#ranges.some((range) => range[0] <= first && last <= range[1]);
  }
}

// Math.min takes no bigint.
function leastOf(one: bigint, other: bigint): bigint {
  return one < other ? one : other;
}
