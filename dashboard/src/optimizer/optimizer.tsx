/** Optimizer: what the gateway has decided about encodings, why, and whether it holds. */

import type { DecisionData, OptimizerData } from "../api/optimizer.ts";
import { usePolled } from "../api/poller.ts";
import { SPANS, useTimeline } from "../api/timeline.ts";
import { OrderedTable } from "../app/ordered_table.tsx";
import { hashOf, type Route } from "../app/router.ts";
import { percent, whole } from "../format/numbers.ts";
import { duration } from "../format/times.ts";
import { Code } from "../parts/code.tsx";
import { Badge, Figure } from "../parts/figure.tsx";
import { Page } from "../parts/page.tsx";
import { EmptyState, ProblemNote, Skeleton } from "../parts/states.tsx";
import type { Column } from "../parts/table.tsx";
import { TimelineChart } from "../parts/timeline_chart.tsx";
import { measuredSaving, predictedSaving, savingWords } from "./saving.ts";
import { TriedStream } from "./tried_stream.tsx";

const TURN_ON = `[optimizer]
history_dir = "/var/lib/frys/history"
`;
const LISTED = 64;
const INTERVAL_MS = 4000;

export function Optimizer({ route }: { readonly route: Route }) {
  const stream = route.path.slice(1).join("/");
  const path = `/api/v1/optimizer?limit=${LISTED}${stream && `&pattern=${encodeURIComponent(stream)}`}`;
  const { data, problem } = usePolled<OptimizerData>(path, INTERVAL_MS);
  if (!data) {
    return <Page title="Optimizer">{problem ? <ProblemNote problem={problem} /> : <Skeleton lines={10} />}</Page>;
  }
  if (!data.history || !data.trials || !data.decisions) {
    return <TurnedOff />;
  }
  return stream ? (
    <TriedStream name={stream} data={data} />
  ) : (
    <Decisions data={data} sort={route.query.sort ?? "-saving"} />
  );
}

/** Regret over two hours: how much more the encodings cost than the best that are known. */
function Regret() {
  const timeline = useTimeline(SPANS[1], "/api/v1/optimizer/timeline");
  return (
    <div class="charts">
      <TimelineChart
        title="Regret: cost above that of the best encodings known"
        timeline={timeline}
        format={percent}
        lines={[["now", "regret"]]}
      />
      <TimelineChart
        title="Cost as a part of the baseline's"
        timeline={timeline}
        format={percent}
        lines={[
          ["predicted", "predicted_over_baseline"],
          ["measured", "measured_over_baseline"],
        ]}
      />
    </div>
  );
}

function TurnedOff() {
  return (
    <Page title="Optimizer">
      <EmptyState title="This gateway does not learn">
        <p>
          It chooses encodings by samples alone. With a traffic history it tries candidates on samples of the traffic,
          in a process of its own, within 5 % of a core; it follows what is faster for each stream and kind of
          receivers, and takes back what is not. No payload is stored.
        </p>
        <Code label="Settings of the gateway, frys.toml">{TURN_ON}</Code>
        <p>Then start the gateway again. After some seconds of traffic the first decisions are here.</p>
      </EmptyState>
    </Page>
  );
}

const COLUMNS: readonly Column<DecisionData>[] = [
  {
    id: "stream",
    label: "Stream",
    value: ({ stream, view }) => (view ? `${stream} ${view}` : stream),
    cell: ({ stream, view }) => (
      <span class="mono">
        {stream} {view}
      </span>
    ),
  },
  {
    id: "receivers",
    label: "Receivers",
    hint: "Tier of their links, and their software",
    value: ({ tier, sdk }) => `${tier}, ${sdk}`,
    priority: 2,
  },
  {
    id: "chain",
    label: "Encoding",
    value: ({ chain, delta }) => (delta ? `${chain}, deltas ${delta}` : chain),
    cell: ({ chain, delta }) => <span class="mono">{delta ? `${chain}, deltas ${delta}` : chain}</span>,
  },
  {
    id: "predicted",
    label: "Predicted",
    hint: "Time until a receiver can use a message, with the price of the gateway's CPU",
    numeric: true,
    value: ({ predicted_s }) => predicted_s,
    cell: ({ predicted_s }) => duration(predicted_s),
    priority: 3,
  },
  {
    id: "baseline",
    label: "Baseline",
    hint: "The same by samples alone",
    numeric: true,
    value: ({ baseline_s }) => baseline_s,
    cell: ({ baseline_s }) => duration(baseline_s),
    priority: 3,
  },
  {
    id: "saving",
    label: "Predicted saving",
    value: predictedSaving,
    cell: (decision) => savingWords(predictedSaving(decision)),
    priority: 2,
  },
  {
    id: "measured",
    label: "Measured saving",
    value: measuredSaving,
    cell: (decision) => savingWords(measuredSaving(decision)),
  },
  {
    id: "verdict",
    label: "Guard",
    hint: "Blocks of messages by the baseline show whether the decision holds",
    value: ({ verdict }) => verdict.words,
    cell: ({ verdict }) =>
      verdict.in_force ? (
        <span title={verdict.words}>
          <Badge tone={verdict.pairs ? "good" : "plain"}>{verdict.pairs ? "holds" : "not compared"}</Badge>
        </span>
      ) : (
        <span title={verdict.words}>
          <Badge tone="warning">taken back</Badge>
        </span>
      ),
  },
];

function Decisions({ data, sort }: { readonly data: OptimizerData; readonly sort: string }) {
  const { history, trials, decisions, predictions } = data;
  const rows = (trials?.busiest ?? []).flatMap((stream) => stream.decisions);
  const failure = [decisions?.failure, trials?.failure, predictions?.failure, history?.failure].find(Boolean);
  return (
    <Page
      title="Optimizer"
      summary="Encodings as they were decided for each stream and kind of receivers, from trials on samples of the traffic."
    >
      {failure && <ProblemNote problem={{ status: 0, error: "Learning", message: failure }} />}
      <div class="figures">
        <Figure
          label="Decisions in force"
          value={whole(decisions?.in_force)}
          note={
            decisions?.following ? `of ${whole(decisions.table)}; the others are as the baseline` : "not followed now"
          }
        />
        <Figure
          label="Changed"
          value={whole(decisions?.changes)}
          note={`${whole(decisions?.taken_back)} taken back by the guard`}
        />
        <Figure
          label="Trials"
          value={whole(trials?.tried)}
          note={`${whole(trials?.drifts)} after a drift, ${whole(trials?.failed)} failed`}
        />
        <Figure
          label="CPU of trials"
          value={duration(trials?.cpu_s)}
          note={`at most ${percent(trials?.cpu_share)} of a core`}
        />
      </div>
      <Regret />
      <div class="section">
        <OrderedTable
          label="Decisions"
          columns={COLUMNS}
          sort={sort}
          rows={rows}
          keyOf={({ stream, view, tier, sdk, chain }) => `${stream}\n${view}\n${tier}\n${sdk}\n${chain}`}
          linkOf={({ stream }) => hashOf(["optimizer", ...stream.split("/")])}
          maxRows={20}
          empty="No stream has been tried yet: trials begin some seconds behind the first large messages."
        />
      </div>
    </Page>
  );
}
