/** Table of many rows, of which those in sight are drawn; sorted by a column, copied as CSV. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { CopyButton } from "./copy_button.tsx";
import { csv } from "./csv.ts";
import { Icon } from "./icon.tsx";
import { windowOf } from "./row_window.ts";

/** Height of a row, as in the styles. */
const ROW_PX = 33;

type Value = string | number | boolean | null | undefined;

export interface Column<T> {
  readonly id: string;
  readonly label: string;
  /** Value that is sorted and copied. */
  readonly value: (row: T) => Value;
  /** Content of the cell; absent: the value. */
  readonly cell?: (row: T) => ComponentChildren;
  /** Explanation of the column. */
  readonly hint?: string;
  /** Numbers stand at the right. */
  readonly numeric?: boolean;
  /** Whether narrow pages leave the column out: first those of 3, on phones those of 2 as well. */
  readonly priority?: 1 | 2 | 3;
  /** Whether rows can be sorted by it; by default they can. */
  readonly sortable?: boolean;
}

export interface Order {
  readonly column: string;
  readonly descending: boolean;
}

export interface TableProps<T> {
  /** Name of the table for those who do not see it. */
  readonly label: string;
  readonly columns: readonly Column<T>[];
  /** Rows in the order in which they are shown. */
  readonly rows: readonly T[];
  readonly keyOf: (row: T) => string | number;
  readonly order?: Order | undefined;
  readonly onOrder?: ((order: Order) => void) | undefined;
  /** Address of a row's own view. */
  readonly linkOf?: ((row: T) => string) | undefined;
  /** Rows from which the table scrolls by itself. */
  readonly maxRows?: number;
  /** Words in the place of the rows if there are none. */
  readonly empty?: ComponentChildren;
}

export function Table<T>(props: TableProps<T>) {
  const { label, columns, rows, keyOf, order, onOrder, linkOf, maxRows = 16, empty } = props;
  const box = useRef<HTMLElement>(null);
  const [scrollPx, setScrollPx] = useState(0);
  const [heightPx, setHeightPx] = useState(maxRows * ROW_PX);
  useEffect(() => {
    const { current } = box;
    if (!current) {
      return undefined;
    }
    const observer = new ResizeObserver(() => setHeightPx(current.clientHeight));
    observer.observe(current);
    return () => observer.disconnect();
  }, []);
  const { first, last } = windowOf(scrollPx, heightPx, rows.length, ROW_PX);
  const copied = (): string =>
    csv(
      columns.map((column) => column.label),
      rows.map((row) => columns.map((column) => column.value(row))),
    );
  return (
    <div class="table">
      <section
        class="table-box"
        ref={box}
        style={{ maxHeight: `${(maxRows + 1) * ROW_PX}px` }}
        onScroll={({ currentTarget }) => setScrollPx(currentTarget.scrollTop)}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls has to be reached by the keyboard
        tabIndex={0}
        aria-label={label}
      >
        <table aria-rowcount={rows.length + 1}>
          <thead>
            <tr>
              {columns.map((column) => (
                <Head key={column.id} column={column} order={order} onOrder={onOrder} />
              ))}
            </tr>
          </thead>
          <tbody>
            {first > 0 && <Spacer columns={columns.length} rows={first} />}
            {rows.slice(first, last).map((row, index) => (
              <tr key={keyOf(row)} aria-rowindex={first + index + 2}>
                {columns.map((column, at) => (
                  <td key={column.id} class={classOf(column)}>
                    {at === 0 && linkOf ? <a href={linkOf(row)}>{contentOf(column, row)}</a> : contentOf(column, row)}
                  </td>
                ))}
              </tr>
            ))}
            {last < rows.length && <Spacer columns={columns.length} rows={rows.length - last} />}
            {rows.length === 0 && (
              <tr>
                <td class="table-empty" colSpan={columns.length}>
                  {empty ?? "None."}
                </td>
              </tr>
            )}
          </tbody>
        </table>
      </section>
      <div class="table-foot">
        <span>{rows.length === 1 ? "1 row" : `${rows.length.toLocaleString("en")} rows`}</span>
        <CopyButton label="Copy as CSV" text={copied} />
      </div>
    </div>
  );
}

interface HeadProps<T> {
  readonly column: Column<T>;
  readonly order: Order | undefined;
  readonly onOrder: ((order: Order) => void) | undefined;
}

function Head<T>({ column, order, onOrder }: HeadProps<T>) {
  const { id, label, hint, numeric, sortable = true } = column;
  const isSorted = order?.column === id;
  const turn = (): void => onOrder?.({ column: id, descending: isSorted ? !order.descending : Boolean(numeric) });
  const sort = isSorted ? (order.descending ? "descending" : "ascending") : undefined;
  return (
    <th scope="col" class={classOf(column)} aria-sort={sort} title={hint}>
      {onOrder && sortable ? (
        <button type="button" onClick={turn}>
          {label}
          <span class={isSorted ? "sort" : "sort sort-none"}>
            <Icon name={isSorted && !order.descending ? "up" : "down"} />
          </span>
        </button>
      ) : (
        label
      )}
    </th>
  );
}

/** Row in the place of those that are out of sight. */
function Spacer({ columns, rows }: { readonly columns: number; readonly rows: number }) {
  return (
    <tr>
      <td class="table-spacer" colSpan={columns} style={{ height: `${rows * ROW_PX}px` }} />
    </tr>
  );
}

function contentOf<T>({ cell, value }: Column<T>, row: T): ComponentChildren {
  return cell ? cell(row) : value(row);
}

function classOf<T>({ numeric, priority = 1 }: Column<T>): string {
  return `${numeric ? "numeric " : ""}priority-${priority}`;
}

/** Return rows in the order of a column: numbers by size, texts by the alphabet, absent values last. */
export function sorted<T>(rows: readonly T[], columns: readonly Column<T>[], order: Order | undefined): readonly T[] {
  const column = columns.find(({ id }) => id === order?.column);
  if (!column || !order) {
    return rows;
  }
  return rows.toSorted((one, other) => {
    return compared(column.value(one), column.value(other), order.descending ? -1 : 1);
  });
}

function compared(one: Value, other: Value, sign: number): number {
  if (one === null || one === undefined || other === null || other === undefined) {
    return Number(one === null || one === undefined) - Number(other === null || other === undefined);
  }
  const isText = typeof one === "string" || typeof other === "string";
  return sign * (isText ? String(one).localeCompare(String(other), "en") : Number(one) - Number(other));
}
