/** Collaboration: workflows with their patterns, and a page for each with its graph, plans and members. */

import { type ConnectionData, firstConnections } from "../api/connections.ts";
import { usePolled } from "../api/poller.ts";
import type { EdgeData, MemberData, PlansData, WorkflowData } from "../api/workflows.ts";
import { OrderedTable } from "../app/ordered_table.tsx";
import { hashOf, type Route } from "../app/router.ts";
import { bytesPerS, percent, perS, whole } from "../format/numbers.ts";
import { duration } from "../format/times.ts";
import { Badge } from "../parts/figure.tsx";
import { Page, Section } from "../parts/page.tsx";
import { EmptyState, ProblemNote, Skeleton } from "../parts/states.tsx";
import { type Column, Table } from "../parts/table.tsx";
import { graphOf } from "./graph.ts";
import { GraphView } from "./graph_view.tsx";
import { Plans } from "./plans.tsx";

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
  { id: "clients", label: "Clients", numeric: true, value: ({ clients }) => clients, priority: 2 },
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

export function Collaboration({ route }: { readonly route: Route }) {
  const [, name] = route.path;
  return name ? <WorkflowPage key={name} name={name} route={route} /> : <WorkflowList route={route} />;
}

function WorkflowList({ route: { query } }: { readonly route: Route }) {
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

function WorkflowPage({ name, route }: { readonly name: string; readonly route: Route }) {
  const { data, problem } = usePolled<{ readonly workflows: readonly WorkflowData[] }>(
    `/api/v1/workflows?name=${encodeURIComponent(name)}`,
  );
  const { data: connections } = usePolled<{ readonly connections: readonly ConnectionData[] }>(
    firstConnections("score"),
    5000,
  );
  const { data: plans } = usePolled<PlansData>("/api/v1/plans");
  const workflow = data?.workflows[0];
  if (!data) {
    return <Page title={name}>{problem ? <ProblemNote problem={problem} /> : <Skeleton lines={10} />}</Page>;
  }
  if (!workflow) {
    return (
      <Page title={name}>
        <EmptyState title="This workflow rests">
          <p>
            No client has got anything from another one in it lately.{" "}
            <a href={hashOf(["collaboration"])}>Go to all workflows.</a>
          </p>
        </EmptyState>
      </Page>
    );
  }
  const types = new Map(connections?.connections.map(({ client_id, client_type }) => [client_id, client_type]));
  const { pattern, confidence, pattern_s, edges, clients } = workflow;
  const words = `${patternWords(pattern)} of ${whole(clients)} clients`;
  return (
    <Page
      title={name}
      summary={
        <>
          <a href={hashOf(["collaboration"])}>Collaboration</a> · <Badge>{patternWords(pattern)}</Badge> with{" "}
          {percent(confidence)} confidence for {duration(pattern_s)}; {perS(workflow.messages_per_s)},{" "}
          {bytesPerS(workflow.bytes_per_s)}
        </>
      }
    >
      <GraphView graph={graphOf(edges, (client) => types.get(client))} label={`Graph of ${name}: ${words}`} />
      <Edges edges={edges} sort={route.query.sort ?? "-bytes"} />
      <Plans plans={plans} workflow={name} />
      <Members scope={name} />
    </Page>
  );
}

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

/** The same as the graph, for those who read it by keyboard or ear, and for numbers. */
function Edges({ edges, sort }: { readonly edges: readonly EdgeData[]; readonly sort: string }) {
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

function Members({ scope }: { readonly scope: string }) {
  const { data } = usePolled<{ readonly members: readonly MemberData[] }>(
    `/api/v1/presence/${encodeURIComponent(scope)}`,
  );
  return (
    <Section title="Presence" summary="Clients that have joined the workflow, and what they show of themselves.">
      <Table
        label="Members"
        columns={MEMBER_COLUMNS}
        rows={data?.members ?? []}
        keyOf={({ id }) => id}
        maxRows={8}
        empty="Nobody has joined: clients do by presence() of their SDK."
      />
    </Section>
  );
}

function patternWords(pattern: string): string {
  return pattern.replace("_", " ");
}
