/**
 * Slices of tensors in the notation of views (spec section 4.5), with the meaning that numpy gives it.
 *
 * Knows shapes and bytes in row-major order; does not know dtypes.
 */

import { InvalidArgument } from "../errors.ts";

/**
 * Elements taken of one dimension: one by its index, which drops the dimension, or `[start, stop, step]`, in which null is
 * absent, a negative number counts from the end, and a negative step goes backwards. Once `"..."`: all remaining dimensions.
 */
export type Cut = number | "..." | readonly [start?: number | null, stop?: number | null, step?: number | null];

/** Elements that a cut takes of one dimension. */
interface Taken {
  readonly first: number;
  readonly count: number;
  readonly step: number;
  readonly isDropped: boolean;
}

/** Part of a tensor: its shape, and its bytes. */
export interface Part {
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/**
 * Return the part that cuts take of a tensor: over the same memory where its elements stand side by side, otherwise copied.
 *
 * @param bytes elements in row-major order.
 * @param itemBytes size of one element.
 * @throws InvalidArgument cuts that do not fit the shape.
 */
export function sliced(bytes: Uint8Array, shape: readonly number[], itemBytes: number, cuts: readonly Cut[]): Part {
  const taken = takenOf(shape, cuts);
  const part = taken.filter(({ isDropped }) => !isDropped).map(({ count }) => count);
  const size = taken.reduce((product, { count }) => product * count, itemBytes);
  const strides: number[] = [];
  for (let axis = shape.length - 1, bytesBehind = itemBytes; axis >= 0; axis--) {
    strides[axis] = bytesBehind;
    bytesBehind *= shape[axis];
  }
  // Dimensions behind `inner` are complete, so that a step in `inner` is a run of memory.
  let inner = shape.length - 1;
  while (inner >= 0 && isComplete(taken[inner], shape[inner])) {
    inner--;
  }
  const start = taken.reduce((sum, { first }, axis) => sum + first * strides[axis], 0);
  const isRun = inner < 0 || taken[inner].step === 1 || taken[inner].count === 1;
  if (size === 0) {
    return { shape: part, bytes: bytes.subarray(0, 0) };
  }
  if (isRun && taken.slice(0, Math.max(0, inner)).every(({ count }) => count === 1)) {
    return { shape: part, bytes: bytes.subarray(start, start + size) };
  }
  return { shape: part, bytes: gathered(bytes, start, size, isRun ? inner - 1 : inner, taken, strides) };
}

/** Return a copy of the runs that the dimensions up to `last` lead to. */
function gathered(
  bytes: Uint8Array,
  start: number,
  size: number,
  last: number,
  taken: readonly Taken[],
  strides: readonly number[],
): Uint8Array {
  const runs = taken.slice(0, last + 1).reduce((product, { count }) => product * count, 1);
  const out = new Uint8Array(size);
  const position = new Array<number>(last + 1).fill(0);
  const copy = copier(bytes, out, size / runs);
  for (let run = 0, from = start; run < runs; run++) {
    copy(from, run);
    for (let axis = last; axis >= 0; axis--) {
      const { count, step } = taken[axis];
      from += step * strides[axis];
      position[axis]++;
      if (position[axis] < count) {
        break;
      }
      from -= count * step * strides[axis];
      position[axis] = 0;
    }
  }
  return out;
}

type Copier = (from: number, run: number) => void;

/** Return the fastest way to copy run after run: single elements as words where they are aligned. */
function copier(bytes: Uint8Array, out: Uint8Array, runBytes: number): Copier {
  const { buffer, byteOffset, byteLength } = bytes;
  if (runBytes === 1) {
    return (from, run) => {
      out[run] = bytes[from];
    };
  }
  if (runBytes === 2 && byteOffset % 2 === 0) {
    const words = new Uint16Array(buffer, byteOffset, byteLength >>> 1);
    const outWords = new Uint16Array(out.buffer);
    return (from, run) => {
      outWords[run] = words[from >>> 1];
    };
  }
  if ((runBytes === 4 || runBytes === 8) && byteOffset % 4 === 0) {
    const words = new Uint32Array(buffer, byteOffset, byteLength >>> 2);
    const outWords = new Uint32Array(out.buffer);
    const width = runBytes >>> 2;
    return (from, run) => {
      const at = from / 4;
      outWords[run * width] = words[at];
      outWords[run * width + width - 1] = words[at + width - 1];
    };
  }
  return (from, run) => out.set(bytes.subarray(from, from + runBytes), run * runBytes);
}

function isComplete({ first, count, step, isDropped }: Taken, dimension: number): boolean {
  return !isDropped && first === 0 && count === dimension && step === 1;
}

function takenOf(shape: readonly number[], cuts: readonly Cut[]): Taken[] {
  const ellipses = cuts.filter((cut) => cut === "...").length;
  const named = cuts.length - ellipses;
  if (ellipses > 1 || named > shape.length) {
    throw new InvalidArgument(
      `cuts ${JSON.stringify(cuts)} do not fit shape [${shape.join(", ")}]: give one a dimension at most, and one "..."`,
    );
  }
  const at = ellipses ? cuts.indexOf("...") : cuts.length;
  const behind = cuts.slice(at + 1);
  const all = [...cuts.slice(0, at), ...new Array<Cut>(shape.length - named).fill([]), ...behind];
  return all.map((cut, axis) => takenOfOne(cut, axis, shape[axis]));
}

function takenOfOne(cut: Cut, axis: number, dimension: number): Taken {
  if (typeof cut === "number") {
    const index = cut < 0 ? cut + dimension : cut;
    if (!Number.isInteger(cut) || index < 0 || index >= dimension) {
      throw new InvalidArgument(`dimension ${axis} of ${dimension} elements has no element ${cut}`);
    }
    return { first: index, count: 1, step: 1, isDropped: true };
  }
  const [start, stop, step] = cut === "..." ? [] : cut;
  const stride = step ?? 1;
  if (cut.length > 3 || stride === 0 || [start ?? 0, stop ?? 0, stride].some((value) => !Number.isInteger(value))) {
    throw new InvalidArgument(
      `${JSON.stringify(cut)} cuts nothing of dimension ${axis}: give [start, stop, step], whole numbers and no step of 0`,
    );
  }
  const [low, high] = stride > 0 ? [0, dimension] : [-1, dimension - 1];
  const first = bounded(start ?? (stride > 0 ? low : high), start, dimension, low, high);
  const end = bounded(stop ?? (stride > 0 ? high : low), stop, dimension, low, high);
  return { first, count: Math.max(0, Math.ceil((end - first) / stride)), step: stride, isDropped: false };
}

/** Return a bound of a cut within its dimension; a bound that was named may count from the end. */
function bounded(
  value: number,
  named: number | null | undefined,
  dimension: number,
  low: number,
  high: number,
): number {
  const counted = (named ?? 0) < 0 ? value + dimension : value;
  return Math.min(Math.max(counted, low), high);
}
