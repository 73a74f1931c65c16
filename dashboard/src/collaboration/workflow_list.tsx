/** List of the workflows, with the pattern that each has. */

import { usePolled } from "../api/poller.ts";
import type { WorkflowData } from "../api/workflows.ts";
import { OrderedTable } from "../app/ordered_table.tsx";
import { hashOf, type Route } from "../app/router.ts";
import { bytesPerS, counted, percent, perS } from "../format/numbers.ts";
import { duration } from "../format/times.ts";
import { Page } from "../parts/page.tsx";
import { ProblemNote, Skeleton } from "../parts/states.tsx";
import type { Column } from "../parts/table.tsx";

const LISTED = 100;

const COLUMNS: readonly Column<WorkflowData>[] = [
  { id: "name", label: "Workflow", value: ({ name }) => name, cell: ({ name }) => <span class="mono">{name}</span> },
  { id: "pattern", label: "Pattern", value: ({ pattern }) => patternWords(pattern) },
  {
    id: "confidence",
    label: "Confidence",
    numeric: true,
    value: ({ confidence }) => confidence,
    cell: ({ confidence }) => percent(confidence),
    priority: 2,
  },
  {
    id: "since",
    label: "For",
    numeric: true,
    value: ({ pattern_s }) => pattern_s,
    cell: ({ pattern_s }) => duration(pattern_s),
    priority: 3,
  },
  {
    id: "clients",
    label: "Clients",
    hint: "Clients that send or receive, with the panels that watch",
    numeric: true,
    value: ({ clients }) => clients,
    priority: 2,
  },
  {
    id: "messages",
    label: "Messages",
    numeric: true,
    value: ({ messages_per_s }) => messages_per_s,
    cell: ({ messages_per_s }) => perS(messages_per_s),
    priority: 3,
  },
  {
    id: "bytes",
    label: "Bytes",
    numeric: true,
    value: ({ bytes_per_s }) => bytes_per_s,
    cell: ({ bytes_per_s }) => bytesPerS(bytes_per_s),
  },
];

export function WorkflowList({ route: { query } }: { readonly route: Route }) {
  const { sort = "-bytes" } = query;
  const { data, problem } = usePolled<{ readonly workflows: readonly WorkflowData[] }>(
    `/api/v1/workflows?sort=bytes_per_s&limit=${LISTED}&edges=0`,
  );
  return (
    <Page title="Collaboration" summary="Who works with whom, by workflow: the first part of the names of streams.">
      {problem && <ProblemNote problem={problem} />}
      {data ? (
        <OrderedTable
          label="Workflows"
          columns={COLUMNS}
          sort={sort}
          rows={data.workflows}
          keyOf={({ id }) => id}
          linkOf={({ name }) => hashOf(["collaboration", name])}
          maxRows={20}
          empty="No client has got anything from another one yet."
        />
      ) : (
        !problem && <Skeleton lines={10} />
      )}
    </Page>
  );
}

/** Return the clients of a workflow in words: `3 clients and 1 panel`. */
export function clientsText({ clients, panels }: WorkflowData): string {
  const members = counted(clients - panels, "client");
  return panels ? `${members} and ${counted(panels, "panel")}` : members;
}

export function patternWords(pattern: string): string {
  return pattern.replace("_", " ");
}
