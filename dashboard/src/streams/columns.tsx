/** Columns of lists of streams. */

import { encodingText, receiversOf, type StreamData, shapeText } from "../api/streams.ts";
import { bytes, bytesPerS, perS, whole } from "../format/numbers.ts";
import type { Column } from "../parts/table.tsx";

const NAME: Column<StreamData> = {
  id: "name",
  label: "Stream",
  value: ({ name }) => name,
  cell: ({ name }) => <span class="mono">{name}</span>,
};
const KIND: Column<StreamData> = {
  id: "kind",
  label: "Kind",
  hint: "Contract of the stream, and its durability if messages outlive the gateway",
  value: ({ kind, durability }) => (durability === "memory" ? kind : `${kind}, ${durability}`),
  priority: 2,
};
const NEWEST: Column<StreamData> = {
  id: "newest",
  label: "Newest",
  hint: "Tensors of the newest message",
  value: ({ newest }) => newest?.map(shapeText).join(", ") ?? "",
  priority: 3,
};
const RECEIVERS: Column<StreamData> = {
  id: "receivers",
  label: "Receivers",
  numeric: true,
  value: receiversOf,
  priority: 2,
};
const MESSAGES: Column<StreamData> = {
  id: "messages",
  label: "Messages",
  numeric: true,
  value: ({ messages_per_s }) => messages_per_s,
  cell: ({ messages_per_s }) => perS(messages_per_s),
};
const BYTES: Column<StreamData> = {
  id: "bytes",
  label: "Bytes",
  numeric: true,
  value: ({ bytes_per_s }) => bytes_per_s,
  cell: ({ bytes_per_s }) => bytesPerS(bytes_per_s),
};

/** What matters at a glance. */
export const FEW_COLUMNS: readonly Column<StreamData>[] = [NAME, KIND, NEWEST, RECEIVERS, MESSAGES, BYTES];

export const ALL_COLUMNS: readonly Column<StreamData>[] = [
  ...FEW_COLUMNS,
  {
    id: "encoding",
    label: "Encoding",
    hint: "Chains by which the gateway encodes, and their part of the bytes; else payloads go as published",
    value: encodingText,
    cell: (stream) =>
      encodingText(stream) || (
        <span class="faint" title="as published">
          –
        </span>
      ),
    priority: 3,
  },
  {
    id: "history",
    label: "History",
    hint: "Messages that can be read again, and their memory",
    numeric: true,
    value: ({ first_offset, next_offset }) => next_offset - first_offset,
    cell: ({ first_offset, next_offset, history_bytes }) =>
      next_offset > first_offset ? `${whole(next_offset - first_offset)}, ${bytes(history_bytes)}` : "",
    priority: 3,
  },
  {
    id: "conflated",
    label: "Conflated",
    hint: "Versions of a state that newer ones replaced on the way to a receiver, or in a client whose program is slow",
    numeric: true,
    value: ({ conflated, client_conflated }) => conflated + client_conflated,
    cell: ({ conflated, client_conflated }) => whole(conflated + client_conflated),
    priority: 3,
  },
  {
    id: "dropped",
    label: "Dropped",
    hint: "Messages that receivers have lost, because history had them no more when their turn came",
    numeric: true,
    value: ({ dropped }) => dropped,
    cell: ({ dropped }) => whole(dropped),
    priority: 3,
  },
];
