/** Table whose order is in the address. */

import { sorted, Table, type TableProps } from "../parts/table.tsx";
import { orderOf, orderText } from "./order.ts";
import { setQuery } from "./router.ts";

interface OrderedTableProps<T> extends Omit<TableProps<T>, "order" | "onOrder"> {
  /** Order as the address has it: the parameter `sort`, or the usual one. */
  readonly sort: string;
}

export function OrderedTable<T>({ sort, ...props }: OrderedTableProps<T>) {
  const order = orderOf(sort);
  return (
    <Table
      {...props}
      rows={sorted(props.rows, props.columns, order)}
      order={order}
      onOrder={(next) => setQuery({ sort: orderText(next) })}
    />
  );
}
