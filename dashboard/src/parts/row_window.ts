/** Rows of a long table that are in sight. */

/** Rows that are drawn beyond each edge, so that scrolling shows no gap. */
const BEYOND = 8;

/** Return the first row to draw, and the one behind the last. */
export function windowOf(
  scrollPx: number,
  heightPx: number,
  rows: number,
  rowPx: number,
): { readonly first: number; readonly last: number } {
  // What is scrolled to may be beyond the end, if rows have gone.
  const top = Math.min(Math.floor(scrollPx / rowPx), Math.max(0, rows - 1));
  const first = Math.max(0, top - BEYOND);
  return { first, last: Math.min(rows, top + Math.ceil(heightPx / rowPx) + BEYOND) };
}
