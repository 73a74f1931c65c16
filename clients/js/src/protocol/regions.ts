/**
 * Regions: the part of a tensor that a patch replaces (spec section 5.4).
 *
 * Knows indices and bytes; does not know frames or streams.
 */

import { Code, InvalidArgument, RequestRefused } from "../errors.ts";
import { itemBytesOf } from "./dtypes.ts";
import type { Extent } from "./extensions.ts";
import { elementsOf, type TensorSpec } from "./meta.ts";

/** Indices of one dimension: one, or from `start` up to before `stop` in steps; null is an open bound. */
export type RegionIndex =
  | number
  | readonly [start: number | null, stop: number | null]
  | readonly [start: number | null, stop: number | null, step: number | null];

/** Key of a region: an index for each dimension; `"..."` stands for all that are not named. */
export type RegionKey = readonly (RegionIndex | "...")[];

/** Dimensions of a tensor; null: unknown. */
export type Sizes = readonly (number | null)[];

const NEEDS_SHAPE = "needs the shape of the state: name all bounds, or publish a complete state before the patches";

/**
 * Return the extents that a key selects; slices are not cut off at the end of a dimension.
 *
 * @param shape shape of the tensor, as far as known.
 * @throws InvalidArgument a bound that needs a shape, or one outside of it.
 */
export function extentsOf(key: RegionKey, shape?: Sizes): Extent[] {
  const items = expanded(key, shape);
  return items.map((item, axis) => extentOf(item, shape?.[axis] ?? null, axis));
}

function expanded(key: RegionKey, shape: Sizes | undefined): RegionIndex[] {
  const gaps = key.filter((item) => item === "...").length;
  if (gaps > 1) {
    throw new InvalidArgument("a region has more than one '...'");
  }
  if (!shape) {
    if (gaps) {
      throw new InvalidArgument(`region: '...' ${NEEDS_SHAPE}`);
    }
    return key as RegionIndex[];
  }
  const missing = shape.length - key.length + gaps;
  if (missing < 0) {
    throw new InvalidArgument(
      `a region of ${key.length} dimensions in a state of ${shape.length}, whose shape is [${shape.join(", ")}]`,
    );
  }
  const all: RegionIndex = [null, null];
  const filling = Array.from({ length: missing }, () => all);
  const at = gaps ? key.indexOf("...") : key.length;
  return [...key.slice(0, at), ...filling, ...key.slice(at + gaps)] as RegionIndex[];
}

function extentOf(item: RegionIndex, size: number | null, axis: number): Extent {
  const where = `region: ${JSON.stringify(item)} in dimension ${axis}`;
  if (typeof item === "number") {
    const start = boundOf(item, size, where);
    if (start === size) {
      throw new InvalidArgument(`${where} is outside of its ${size} indices`);
    }
    return { start: BigInt(start), count: 1n, step: 1n };
  }
  const step = item[2] ?? 1;
  if (!Number.isSafeInteger(step) || step < 1) {
    throw new InvalidArgument(`${where}: a step is an integer of at least 1; reverse the patch instead`);
  }
  const start = boundOf(item[0] ?? 0, size, where);
  if (item[1] === null && size === null) {
    throw new InvalidArgument(`${where}: an open end ${NEEDS_SHAPE}`);
  }
  const stop = boundOf(item[1] ?? (size as number), size, where);
  return { start: BigInt(start), count: BigInt(Math.max(0, Math.ceil((stop - start) / step))), step: BigInt(step) };
}

function boundOf(bound: number, size: number | null, where: string): number {
  if (!Number.isSafeInteger(bound)) {
    throw new InvalidArgument(`${where}: a region is made of integers, [start, stop, step] and '...'`);
  }
  if (bound < 0 && size === null) {
    throw new InvalidArgument(`${where}: counting from the end ${NEEDS_SHAPE}`);
  }
  const found = bound < 0 ? bound + (size ?? 0) : bound;
  if (found < 0 || (size !== null && found > size)) {
    throw new InvalidArgument(`${where} is outside of its ${size} indices`);
  }
  return found;
}

/** Return the shape of the patch that replaces a region. */
export function shapeOf(extents: readonly Extent[]): number[] {
  return extents.map(({ count }) => Number(count));
}

/**
 * Check that a region lies within a tensor of a shape.
 *
 * @throws RequestRefused `INVALID_REGION`.
 */
export function checkRegion(extents: readonly Extent[], shape: readonly number[]): void {
  const outside = extents.findIndex(
    ({ start, count, step }, axis) => (count ? start + (count - 1n) * step + 1n : start) > BigInt(shape[axis] ?? -1),
  );
  if (extents.length !== shape.length || outside >= 0) {
    throw new RequestRefused(
      Code.INVALID_REGION,
      `a region of ${extents.length} dimensions does not fit a state of shape [${shape.join(", ")}]`,
    );
  }
}

/**
 * Write a patch into the memory of a tensor.
 *
 * @param tensor memory of the complete tensor.
 * @param spec dtype and shape of that tensor.
 * @param patch elements of the region in row-major order.
 * @throws RequestRefused `INVALID_REGION`, the region or the patch does not fit.
 */
export function applyPatch(tensor: Uint8Array, spec: TensorSpec, extents: readonly Extent[], patch: Uint8Array): void {
  checkRegion(extents, spec.shape);
  const itemBytes = itemBytesOf(spec.dtype);
  const counts = shapeOf(extents);
  if (patch.byteLength !== elementsOf(counts) * itemBytes) {
    throw new RequestRefused(Code.INVALID_REGION, `a patch of ${patch.byteLength} bytes does not fill its region`);
  }
  if (!patch.byteLength) {
    return;
  }
  const strides = spec.shape.map((_, axis) => elementsOf(spec.shape.slice(axis + 1)) * itemBytes);
  const steps = extents.map(({ step }, axis) => Number(step) * strides[axis]);
  const first = extents.reduce((sum, { start }, axis) => sum + Number(start) * strides[axis], 0);
  const last = extents.length - 1;
  // A run of elements that are neighbours in both is copied at once.
  const runs = last >= 0 && steps[last] === itemBytes;
  const runBytes = runs ? counts[last] * itemBytes : itemBytes;
  const axes = runs ? last : extents.length;
  let read = 0;
  const write = (axis: number, at: number): void => {
    if (axis === axes) {
      tensor.set(patch.subarray(read, read + runBytes), at);
      read += runBytes;
      return;
    }
    for (let index = 0; index < counts[axis]; index++) {
      write(axis + 1, at + index * steps[axis]);
    }
  };
  write(0, first);
}
