/** Members of a workflow: clients that have joined it, and what they show of themselves. */

import { usePolled } from "../api/poller.ts";
import type { MemberData } from "../api/workflows.ts";
import { Code } from "../parts/code.tsx";
import { Badge } from "../parts/figure.tsx";
import { Section } from "../parts/page.tsx";
import { EmptyState } from "../parts/states.tsx";
import { type Column, Table } from "../parts/table.tsx";

const MEMBER_COLUMNS: readonly Column<MemberData>[] = [
  {
    id: "client",
    label: "Member",
    value: ({ client_id }) => client_id,
    cell: ({ client_id }) => <span class="mono">{client_id}</span>,
  },
  { id: "type", label: "Type", value: ({ client_type }) => client_type.replace("_", " "), priority: 2 },
  {
    id: "away",
    label: "State",
    value: ({ away }) => (away ? "away" : "here"),
    cell: ({ away }) => <Badge tone={away ? "warning" : "good"}>{away ? "away" : "here"}</Badge>,
  },
  { id: "metadata", label: "Metadata", value: ({ metadata }) => JSON.stringify(metadata), priority: 2 },
  {
    id: "awareness",
    label: "Awareness",
    value: ({ awareness }) => (awareness ? JSON.stringify(awareness) : ""),
    priority: 3,
  },
];

export function Members({ scope }: { readonly scope: string }) {
  const { data } = usePolled<{ readonly members: readonly MemberData[] }>(
    `/api/v1/presence/${encodeURIComponent(scope)}`,
  );
  const members = data?.members;
  return (
    <Section title="Presence" summary="Clients that have joined the workflow, and what they show of themselves.">
      {members?.length === 0 ? (
        <EmptyState title="Nobody has joined">
          <p>A client tells that it is here, and what it does, by the presence of its SDK:</p>
          <Code label="Python">{`async with client.presence("${scope}", metadata={"role": "trainer"}) as members:
    members.set_awareness({"step": 7})`}</Code>
          <Code label="JavaScript">{`const members = await client.presence("${scope}", { metadata: { user: "ann" } });
members.setAwareness({ cursor: [3, 4] });`}</Code>
        </EmptyState>
      ) : (
        <Table label="Members" columns={MEMBER_COLUMNS} rows={members ?? []} keyOf={({ id }) => id} maxRows={8} />
      )}
    </Section>
  );
}
