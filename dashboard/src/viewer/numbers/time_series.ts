/** Time series: the last points of a scalar stream, and the curve that a chart has room for. */

export interface Point {
  readonly offset: number;
  /** Unix time in seconds. */
  readonly timeS: number;
  /** Step of the headers; NaN: they have none. */
  readonly step: number;
  readonly value: number;
}

/** Ring of points: four columns, of which the oldest entries are overwritten. */
export class TimeSeries {
  readonly #capacity: number;
  readonly #columns: Readonly<Record<keyof Point, Float64Array>>;
  #added = 0;
  #hasSteps = true;

  constructor(capacity: number) {
    this.#capacity = capacity;
    const column = (): Float64Array => new Float64Array(capacity);
    this.#columns = { offset: column(), timeS: column(), step: column(), value: column() };
  }

  get size(): number {
    return Math.min(this.#added, this.#capacity);
  }

  /** Whether every point has had a step. */
  get hasSteps(): boolean {
    return this.#hasSteps && this.#added > 0;
  }

  get newest(): Point | undefined {
    return this.size ? this.at(this.size - 1) : undefined;
  }

  /** Add a point; one that is there already, by its offset, is left out. */
  add(point: Point): void {
    const { newest } = this;
    if (newest && point.offset <= newest.offset) {
      return;
    }
    const at = this.#added++ % this.#capacity;
    this.#columns.offset[at] = point.offset;
    this.#columns.timeS[at] = point.timeS;
    this.#columns.step[at] = point.step;
    this.#columns.value[at] = point.value;
    this.#hasSteps &&= !Number.isNaN(point.step);
  }

  /** Return a point, from the oldest on. */
  at(index: number): Point {
    const at = (Math.max(0, this.#added - this.#capacity) + index) % this.#capacity;
    const { offset, timeS, step, value } = this.#columns;
    return { offset: offset[at], timeS: timeS[at], step: step[at], value: value[at] };
  }

  /** Return a copy of a column, from the oldest point on: an object for each of very many points is memory for a moment. */
  column(name: keyof Point): Float64Array {
    const { size } = this;
    const [whole, start] = [this.#columns[name], this.#added > this.#capacity ? this.#added % this.#capacity : 0];
    const found = new Float64Array(size);
    found.set(whole.subarray(start, size));
    found.set(whole.subarray(0, start), size - start);
    return found;
  }

  clear(): void {
    this.#added = 0;
    this.#hasSteps = true;
  }
}

export type Numbers = readonly number[] | Float64Array;

/** Curve: places on the axis, which grow, and a value at each. */
export interface Curve {
  readonly x: Numbers;
  readonly y: Numbers;
}

/**
 * Return a smoothed curve: each value is the mean of those before with weights that fall by `share` a point, as dashboards of
 * training have it. Divided by the sum of the weights, so that the first points do not begin at zero.
 */
export function smoothed(values: Numbers, share: number): Float64Array {
  let [sum, weights] = [0, 0];
  return Float64Array.from(values, (value) => {
    if (!Number.isFinite(value)) {
      return value;
    }
    sum = sum * share + value * (1 - share);
    weights = weights * share + 1 - share;
    return sum / weights;
  });
}

/** Return the curve with at most two points for each of some intervals: the least and the greatest, in their order. */
export function thinned({ x, y }: Curve, intervals: number): Curve {
  if (x.length <= 2 * intervals) {
    return { x, y };
  }
  const out: { x: number[]; y: number[] } = { x: [], y: [] };
  for (let interval = 0; interval < intervals; interval++) {
    const start = Math.floor((interval * x.length) / intervals);
    const end = Math.floor(((interval + 1) * x.length) / intervals);
    let [least, most] = [start, start];
    for (let index = start; index < end; index++) {
      least = y[index] < y[least] || Number.isNaN(y[least]) ? index : least;
      most = y[index] > y[most] || Number.isNaN(y[most]) ? index : most;
    }
    for (const index of least === most ? [least] : [Math.min(least, most), Math.max(least, most)]) {
      out.x.push(x[index]);
      out.y.push(y[index]);
    }
  }
  return out;
}

/** Return curves over one axis: the places of all, in order, and the value of each curve there or null. */
export function joined(curves: readonly Curve[]): [x: number[], ...y: (number | null)[][]] {
  const places = [...new Set(curves.flatMap(({ x }) => [...x]))].sort((a, b) => a - b);
  const index = new Map(places.map((place, at) => [place, at]));
  const columns = curves.map(({ x, y }) => {
    const column = new Array<number | null>(places.length).fill(null);
    for (const [at, place] of x.entries()) {
      column[index.get(place) ?? 0] = y[at];
    }
    return column;
  });
  return [places, ...columns];
}
