/** Streams that carry most, and connections whose links are worst: where an operator looks next. */

import { usePolled } from "../api/poller.ts";
import { bytes, bytesPerS, perS, scaled } from "../format/numbers.ts";
import { duration } from "../format/times.ts";
import { Section } from "../parts/page.tsx";
import { type Column, Table } from "../parts/table.tsx";

const SHOWN = 8;

interface ListedStream {
  readonly name: string;
  readonly kind: string;
  readonly messages_per_s: number | null;
  readonly bytes_per_s: number | null;
  readonly subscribers: number;
  readonly viewers: number;
  readonly newest: readonly { readonly dtype: string; readonly shape: readonly number[] }[] | null;
}

const STREAM_COLUMNS: readonly Column<ListedStream>[] = [
  { id: "name", label: "Stream", value: ({ name }) => name, cell: ({ name }) => <span class="mono">{name}</span> },
  { id: "kind", label: "Kind", value: ({ kind }) => kind, priority: 2 },
  {
    id: "tensor",
    label: "Newest",
    value: ({ newest }) => newest?.map(({ dtype, shape }) => `${dtype} [${shape.join(", ")}]`).join(" ") ?? "",
    priority: 3,
  },
  {
    id: "receivers",
    label: "Receivers",
    numeric: true,
    value: ({ subscribers, viewers }) => subscribers + viewers,
    priority: 2,
  },
  {
    id: "messages",
    label: "Messages",
    numeric: true,
    value: ({ messages_per_s }) => messages_per_s,
    cell: ({ messages_per_s }) => perS(messages_per_s),
  },
  {
    id: "bytes",
    label: "Bytes",
    numeric: true,
    value: ({ bytes_per_s }) => bytes_per_s,
    cell: ({ bytes_per_s }) => bytesPerS(bytes_per_s),
  },
];

export function BusiestStreams() {
  const { data } = usePolled<{ readonly streams: readonly ListedStream[] }>(
    `/api/v1/streams?sort=bytes_per_s&limit=${SHOWN}`,
  );
  return (
    <Section title="Busiest streams">
      <Table
        label="Busiest streams"
        columns={STREAM_COLUMNS}
        rows={data?.streams ?? []}
        keyOf={({ name }) => name}
        maxRows={SHOWN}
        empty="No stream has carried anything."
      />
    </Section>
  );
}

interface ListedConnection {
  readonly peer: number;
  readonly client_id: string;
  readonly client_type: string;
  readonly waiting_bytes: number;
  readonly link: { readonly score: number; readonly rtt_s: number | null; readonly bottleneck: string };
}

const LINK_COLUMNS: readonly Column<ListedConnection>[] = [
  {
    id: "client",
    label: "Client",
    value: ({ client_id }) => client_id,
    cell: ({ client_id }) => <span class="mono">{client_id}</span>,
  },
  { id: "type", label: "Type", value: ({ client_type }) => client_type, priority: 2 },
  {
    id: "bottleneck",
    label: "Bottleneck",
    value: ({ link }) => link.bottleneck.replace("_", " "),
    priority: 3,
  },
  {
    id: "rtt",
    label: "Round trip",
    numeric: true,
    value: ({ link }) => link.rtt_s,
    cell: ({ link }) => duration(link.rtt_s),
  },
  {
    id: "waiting",
    label: "Waits",
    numeric: true,
    value: ({ waiting_bytes }) => waiting_bytes,
    cell: ({ waiting_bytes }) => bytes(waiting_bytes),
    priority: 2,
  },
  {
    id: "score",
    label: "Score",
    numeric: true,
    hint: "Quality of the link, from 0 to 1",
    value: ({ link }) => link.score,
    cell: ({ link }) => scaled(link.score),
  },
];

export function WorstLinks() {
  const { data } = usePolled<{ readonly connections: readonly ListedConnection[] }>(
    `/api/v1/connections?sort=score&limit=${SHOWN}`,
  );
  return (
    <Section title="Worst links">
      <Table
        label="Worst links"
        columns={LINK_COLUMNS}
        rows={data?.connections ?? []}
        keyOf={({ peer }) => peer}
        maxRows={SHOWN}
        empty="Nobody is connected."
      />
    </Section>
  );
}
