import { expect, test } from "vitest";
import { type Column, sorted } from "../../src/parts/table.tsx";

interface Row {
  readonly name: string;
  readonly rate: number | null;
}

const COLUMNS: readonly Column<Row>[] = [
  { id: "name", label: "Name", value: ({ name }) => name },
  { id: "rate", label: "Rate", value: ({ rate }) => rate },
];
const ROWS: readonly Row[] = [
  { name: "b", rate: 2 },
  { name: "c", rate: null },
  { name: "a", rate: 10 },
];

test.each([
  [{ column: "rate", descending: true }, "abc"],
  [{ column: "rate", descending: false }, "bac"],
  [{ column: "name", descending: false }, "abc"],
  [{ column: "name", descending: true }, "cba"],
  [{ column: "gone", descending: true }, "bca"],
  [undefined, "bca"],
])("rows by %o", (order, names) => {
  expect(sorted(ROWS, COLUMNS, order).map(({ name }) => name)).toEqual([...names]);
});
