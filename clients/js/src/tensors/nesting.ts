/** Tensors as lists of lists, for libraries that take no typed arrays. */

/** An element, or a list for each dimension. */
export type Nested<T> = T | readonly Nested<T>[];

/**
 * Return the elements of a shape as lists of lists.
 *
 * @param element gives the element at a position in row-major order.
 */
export function nested<T>(shape: readonly number[], element: (position: number) => T): Nested<T> {
  let position = 0;
  const listOf = (axis: number): Nested<T> =>
    axis === shape.length ? element(position++) : Array.from({ length: shape[axis] }, () => listOf(axis + 1));
  return listOf(0);
}
