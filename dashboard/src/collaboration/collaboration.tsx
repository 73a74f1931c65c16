/** Collaboration: workflows with their patterns, and a page for each with its graph, plans and members. */

import { usePolled } from "../api/poller.ts";
import type { PlansData, WorkflowData } from "../api/workflows.ts";
import { hashOf, type Route } from "../app/router.ts";
import { bytesPerS, percent, perS } from "../format/numbers.ts";
import { duration } from "../format/times.ts";
import { Badge } from "../parts/figure.tsx";
import { Page } from "../parts/page.tsx";
import { EmptyState, ProblemNote, Skeleton } from "../parts/states.tsx";
import { graphOf } from "./graph.ts";
import { GraphView } from "./graph_view.tsx";
import { Members } from "./members.tsx";
import { Plans } from "./plans.tsx";
import { Edges, Participants } from "./traffic.tsx";
import { clientsText, patternWords, WorkflowList } from "./workflow_list.tsx";

export function Collaboration({ route }: { readonly route: Route }) {
  const [, name] = route.path;
  return name ? <WorkflowPage key={name} name={name} route={route} /> : <WorkflowList route={route} />;
}

function WorkflowPage({ name, route }: { readonly name: string; readonly route: Route }) {
  const { data, problem } = usePolled<{ readonly workflows: readonly WorkflowData[] }>(
    `/api/v1/workflows?name=${encodeURIComponent(name)}`,
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
  const { pattern, confidence, pattern_s, edges, participants } = workflow;
  const types = new Map(participants.map(({ client_id, client_type }) => [client_id, client_type ?? undefined]));
  const words = `${patternWords(pattern)} of ${clientsText(workflow)}`;
  return (
    <Page
      title={name}
      summary={
        <>
          <a href={hashOf(["collaboration"])}>Collaboration</a> · <Badge>{patternWords(pattern)}</Badge> of{" "}
          {clientsText(workflow)}, with {percent(confidence)} confidence for {duration(pattern_s)};{" "}
          {perS(workflow.messages_per_s)}, {bytesPerS(workflow.bytes_per_s)}
        </>
      }
    >
      <GraphView graph={graphOf(edges, (client) => types.get(client))} label={`Graph of ${name}: ${words}`} />
      <Edges edges={edges} sort={route.query.sort ?? "-bytes"} />
      <Participants participants={participants} edges={edges} />
      <Plans plans={plans} workflow={name} />
      <Members scope={name} />
    </Page>
  );
}
