/** Traffic of a workflow in tables: the same as the graph, for those who read it by keyboard or ear, and for numbers. */

import type { EdgeData, ParticipantData } from "../api/workflows.ts";
import { OrderedTable } from "../app/ordered_table.tsx";
import { hashOf } from "../app/router.ts";
import { bytesPerS, perS } from "../format/numbers.ts";
import { duration } from "../format/times.ts";
import { Section } from "../parts/page.tsx";
import { type Column, Table } from "../parts/table.tsx";

const EDGE_COLUMNS: readonly Column<EdgeData>[] = [
  {
    id: "source",
    label: "From",
    value: ({ source }) => source,
    cell: ({ source }) => <span class="mono">{source}</span>,
  },
  {
    id: "target",
    label: "To",
    value: ({ target }) => target,
    cell: ({ target }) => <span class="mono">{target}</span>,
  },
  { id: "via", label: "By", value: ({ via }) => via, priority: 2 },
  {
    id: "messages",
    label: "Messages",
    numeric: true,
    value: ({ messages_per_s }) => messages_per_s,
    cell: ({ messages_per_s }) => perS(messages_per_s),
    priority: 2,
  },
  {
    id: "bytes",
    label: "Bytes",
    numeric: true,
    value: ({ bytes_per_s }) => bytes_per_s,
    cell: ({ bytes_per_s }) => bytesPerS(bytes_per_s),
  },
];

export function Edges({ edges, sort }: { readonly edges: readonly EdgeData[]; readonly sort: string }) {
  return (
    <Section title="Traffic">
      <OrderedTable
        label="Traffic between clients"
        columns={EDGE_COLUMNS}
        sort={sort}
        rows={edges}
        keyOf={({ source, target, via }) => `${source}\n${target}\n${via}`}
        maxRows={8}
      />
    </Section>
  );
}

interface ParticipantRow extends ParticipantData {
  readonly sent: number;
  readonly received: number;
}

const PARTICIPANT_COLUMNS: readonly Column<ParticipantRow>[] = [
  {
    id: "client",
    label: "Client",
    value: ({ client_id }) => client_id,
    cell: ({ client_id, peer }) =>
      peer === null ? (
        <span class="mono faint">{client_id}</span>
      ) : (
        <a class="mono" href={hashOf(["connections", `${peer}`])}>
          {client_id}
        </a>
      ),
  },
  {
    id: "type",
    label: "Type",
    value: ({ client_type }) => client_type?.replace("_", " "),
    cell: ({ client_type, peer }) =>
      peer === null ? <span class="faint">has gone</span> : client_type?.replace("_", " "),
  },
  {
    id: "age",
    label: "Here for",
    numeric: true,
    value: ({ age_s }) => age_s,
    cell: ({ age_s }) => duration(age_s),
    priority: 2,
  },
  {
    id: "sent",
    label: "Sends",
    hint: "Bytes to others of the workflow, each receiver counted",
    numeric: true,
    value: ({ sent }) => sent,
    cell: ({ sent }) => bytesPerS(sent),
    priority: 2,
  },
  {
    id: "received",
    label: "Receives",
    numeric: true,
    value: ({ received }) => received,
    cell: ({ received }) => bytesPerS(received),
  },
];

export function Participants({
  participants,
  edges,
}: {
  readonly participants: readonly ParticipantData[];
  readonly edges: readonly EdgeData[];
}) {
  const sum = (clientId: string, end: "source" | "target"): number =>
    edges.reduce((bytes, edge) => bytes + (edge[end] === clientId ? edge.bytes_per_s : 0), 0);
  // By name: the order of the traffic changes all the time, and rows that jump cannot be clicked.
  const byName = participants.toSorted((one, other) => one.client_id.localeCompare(other.client_id));
  const rows = byName.map((each) => ({
    ...each,
    sent: sum(each.client_id, "source"),
    received: sum(each.client_id, "target"),
  }));
  return (
    <Section
      title="Clients"
      summary="Senders and receivers of this traffic; panels watch, and do not count for the pattern."
    >
      <Table
        label="Clients of the workflow"
        columns={PARTICIPANT_COLUMNS}
        rows={rows}
        keyOf={({ client_id }) => client_id}
        maxRows={8}
      />
    </Section>
  );
}
