/** Tasks: streams that are acknowledged, who is at what in them, and the messages that nobody has processed. */

import { usePolled } from "../api/poller.ts";
import type { ConsumerData, TaskStreamData } from "../api/tasks.ts";
import { OrderedTable } from "../app/ordered_table.tsx";
import { hashOf, type Route } from "../app/router.ts";
import { counted, whole } from "../format/numbers.ts";
import { duration } from "../format/times.ts";
import { Badge, Figure } from "../parts/figure.tsx";
import { Page, Section } from "../parts/page.tsx";
import { EmptyState, ProblemNote, Skeleton } from "../parts/states.tsx";
import type { Column } from "../parts/table.tsx";
import { DeadLetters } from "./dead_letters.tsx";

const LISTED = 100;

interface Listed {
  readonly stream: TaskStreamData;
  readonly consumer: ConsumerData;
}

const COLUMNS: readonly Column<Listed>[] = [
  {
    id: "stream",
    label: "Stream",
    value: ({ stream }) => stream.name,
    cell: ({ stream }) => <span class="mono">{stream.name}</span>,
  },
  {
    id: "client",
    label: "Consumer",
    value: ({ consumer }) => consumer.client_id,
    cell: ({ consumer }) =>
      consumer.peer === null ? (
        <span class="mono">{consumer.client_id}</span>
      ) : (
        <a class="mono" href={hashOf(["connections", `${consumer.peer}`])}>
          {consumer.client_id}
        </a>
      ),
  },
  {
    id: "state",
    label: "State",
    value: ({ consumer }) => consumer.away_s,
    cell: ({ consumer }) => <Presence consumer={consumer} />,
    priority: 2,
  },
  {
    id: "in_flight",
    label: "At work",
    hint: "Messages that it has and has not answered",
    numeric: true,
    value: ({ consumer }) => consumer.in_flight,
  },
  { id: "waiting", label: "Waiting", numeric: true, value: ({ consumer }) => consumer.waiting },
  {
    id: "oldest",
    label: "Oldest",
    hint: "Age of the oldest message that it has not answered",
    numeric: true,
    value: ({ consumer }) => consumer.oldest_s,
    cell: ({ consumer }) => duration(consumer.oldest_s),
    priority: 2,
  },
  { id: "delivered", label: "Delivered", numeric: true, value: ({ consumer }) => consumer.delivered, priority: 3 },
  {
    id: "redelivered",
    label: "Again",
    hint: "Deliveries behind the first one",
    numeric: true,
    value: ({ consumer }) => consumer.redelivered,
    priority: 3,
  },
  { id: "dead", label: "Dead letters", numeric: true, value: ({ consumer }) => consumer.dead_lettered, priority: 3 },
];

export function Tasks({ route: { query } }: { readonly route: Route }) {
  const { data, problem } = usePolled<{ readonly streams: readonly TaskStreamData[] }>(`/api/v1/tasks?limit=${LISTED}`);
  if (!data) {
    return <Page title="Tasks">{problem ? <ProblemNote problem={problem} /> : <Skeleton lines={10} />}</Page>;
  }
  const rows = data.streams.flatMap((stream) => stream.consumers.map((consumer) => ({ stream, consumer })));
  return (
    <Page
      title="Tasks"
      summary="Messages that are kept until a consumer acknowledges them: streams of the kinds collaboration and control."
    >
      <Figures streams={data.streams} />
      {data.streams.length === 0 ? (
        <NoTasks />
      ) : (
        <Section title="Consumers">
          <OrderedTable
            label="Consumers"
            columns={COLUMNS}
            sort={query.sort ?? "-waiting"}
            rows={rows}
            keyOf={({ stream, consumer }) => `${stream.id} ${consumer.client_id}`}
            linkOf={({ stream }) => hashOf(["streams", ...stream.name.split("/")])}
            maxRows={12}
            empty="No client is a consumer of these streams: workers are those with a clientId that subscribe."
          />
        </Section>
      )}
      <DeadLetters />
    </Page>
  );
}

function Presence({ consumer: { peer, away_s } }: { readonly consumer: ConsumerData }) {
  return peer === null ? <Badge tone="warning">away for {duration(away_s)}</Badge> : <Badge tone="good">here</Badge>;
}

function Figures({ streams }: { readonly streams: readonly TaskStreamData[] }) {
  const sum = (number: (stream: TaskStreamData) => number): number =>
    streams.reduce((total, stream) => total + number(stream), 0);
  const absent = sum((stream) => stream.absent);
  const dead = sum(({ dead_lettered }) => dead_lettered);
  return (
    <div class="figures">
      <Figure
        label="Not acknowledged"
        value={whole(sum(({ pending }) => pending))}
        note={`in ${counted(streams.length, "stream")}`}
      />
      <Figure
        label="Consumers"
        value={whole(sum(({ present }) => present))}
        note={absent ? `${whole(absent)} away` : "all are here"}
        tone={absent ? "warning" : "plain"}
      />
      <Figure
        label="Delivered"
        value={whole(sum(({ delivered }) => delivered))}
        note={`${whole(sum(({ redelivered }) => redelivered))} again`}
      />
      <Figure
        label="Dead letters"
        value={whole(dead)}
        note={dead ? "refused too often" : "none was refused too often"}
        tone={dead ? "warning" : "plain"}
      />
    </div>
  );
}

function NoTasks() {
  return (
    <div class="section">
      <EmptyState title="No stream is acknowledged">
        <p>
          Publish with <code>kind="collaboration"</code>: each message is then kept until every consumer has answered
          it, and comes again to one that is lost or refuses it.
        </p>
      </EmptyState>
    </div>
  );
}
