/** Tensors as lists of lists, for libraries that take no typed arrays. */

import { InvalidArgument } from "../errors.ts";

/** Lists of the largest tensor without elements: otherwise a few bytes could ask for any number of them. */
const MAX_EMPTY_LISTS = 1 << 16;

/** An element, or a list for each dimension. */
export type Nested<T> = T | readonly Nested<T>[];

/**
 * Return the elements of a shape as lists of lists.
 *
 * @param element gives the element at a position in row-major order.
 * @throws InvalidArgument more than 65,536 lists without a single element.
 */
export function nested<T>(shape: readonly number[], element: (position: number) => T): Nested<T> {
  const empty = shape.indexOf(0);
  if (empty >= 0 && shape.slice(0, empty).reduce((product, size) => product * size, 1) > MAX_EMPTY_LISTS) {
    throw new InvalidArgument(`a tensor of shape [${shape.join(", ")}] has no elements, and too many lists`);
  }
  let position = 0;
  const listOf = (axis: number): Nested<T> =>
    axis === shape.length ? element(position++) : Array.from({ length: shape[axis] }, () => listOf(axis + 1));
  return listOf(0);
}
