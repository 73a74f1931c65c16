/** Grid of numbers: a window of cells with full precision, moved by keys, the wheel, and buttons. */

import type { Shown } from "./posts.ts";
import type { Session } from "./session.ts";

const PAGE = 10;

export function NumberGrid({ session, shown }: { readonly session: Session; readonly shown: Shown }) {
  const { grid, plane } = shown;
  if (!grid) {
    return null;
  }
  if (!shown.tensor.shape.length) {
    return (
      <div class="viewer-single">
        <b>{grid.cells[0]?.[0] ?? "no element"}</b>
        <span>{shown.tensor.dtype}, no dimensions</span>
      </div>
    );
  }
  const move = (rows: number, columns: number): void => {
    const [row, column] = session.settings.value.cell;
    const most = [Math.max(0, plane.height - 1), Math.max(0, plane.width - 1)];
    session.change({
      cell: [Math.min(Math.max(0, row + rows), most[0]), Math.min(Math.max(0, column + columns), most[1])],
    });
  };
  const columns = grid.cells[0]?.length ?? 0;
  return (
    <section
      class="viewer-grid"
      aria-label="Numbers; arrow keys and page keys move the window"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: keys move the window
      tabIndex={0}
      onKeyDown={(event) => {
        const step = STEPS[event.key];
        if (step) {
          event.preventDefault();
          move(step[0], step[1]);
        }
      }}
      onWheel={(event) => {
        event.preventDefault();
        const steps = Math.sign(event.deltaY || event.deltaX) * 3;
        move(event.shiftKey || event.deltaX ? 0 : steps, event.shiftKey || event.deltaX ? steps : 0);
      }}
    >
      <table>
        <thead>
          <tr>
            <th scope="col">
              <span class="viewer-unseen">Row</span>
            </th>
            {Array.from({ length: columns }, (_, index) => (
              <th scope="col" key={index}>
                {(grid.column + index).toLocaleString("en")}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {grid.cells.map((line, index) => (
            <tr key={index}>
              <th scope="row">{(grid.row + index).toLocaleString("en")}</th>
              {line.map((text, column) => (
                <td key={column} class={text === "NaN" ? "is-nan" : ""}>
                  {text}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {columns && grid.cells.length ? null : <p class="viewer-none">No elements: one dimension has the length 0</p>}
    </section>
  );
}

const STEPS: Readonly<Record<string, readonly [rows: number, columns: number] | undefined>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  PageUp: [-PAGE * 3, 0],
  PageDown: [PAGE * 3, 0],
  Home: [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY],
};
