/** Order of a table in the address: `bytes` ascending, `-bytes` descending. */

import type { Order } from "../parts/table.tsx";

export function orderOf(text: string | undefined): Order | undefined {
  if (!text) {
    return undefined;
  }
  const descending = text.startsWith("-");
  return { column: descending ? text.slice(1) : text, descending };
}

export function orderText({ column, descending }: Order): string {
  return `${descending ? "-" : ""}${column}`;
}
