/** Overview: what the gateway does now, and has done since its start. */

import { usePolled } from "../api/poller.ts";
import type { SummaryData } from "../api/summary.ts";
import { SPANS, type Span, type TimelineData, useTimeline } from "../api/timeline.ts";
import { type Route, setQuery } from "../app/router.ts";
import { bytes, bytesPerS, counted, perS, scaled, whole } from "../format/numbers.ts";
import { duration } from "../format/times.ts";
import { Figure, type Tone } from "../parts/figure.tsx";
import { Page } from "../parts/page.tsx";
import { ProblemNote, Skeleton } from "../parts/states.tsx";
import { TimelineChart } from "../parts/timeline_chart.tsx";
import { BusiestStreams, WorstLinks } from "./busiest.tsx";
import { FirstRun } from "./first_run.tsx";

/** Types of clients in the order in which they are told. */
const TYPES = ["agent", "workflow", "admin_panel", "extension"] as const;

const STAGES: Readonly<Record<string, { readonly words: string; readonly tone: Tone }>> = {
  normal: { words: "No measure is taken", tone: "good" },
  conflate: { words: "Less waits for slow receivers", tone: "warning" },
  lower_views: { words: "Dashboards get states less often", tone: "warning" },
  refuse_dashboards: { words: "New dashboards are refused", tone: "bad" },
  shed: { words: "The longest queues are closed", tone: "bad" },
};

export function Overview({ route }: { readonly route: Route }) {
  const { data, problem } = usePolled<SummaryData>("/api/v1/summary");
  const span = SPANS.find(({ label }) => label === route.query.span) ?? SPANS[0];
  const timeline = useTimeline(span);
  if (!data) {
    return <Page title="Overview">{problem ? <ProblemNote problem={problem} /> : <Skeleton lines={10} />}</Page>;
  }
  const streams = Object.values(data.kinds).reduce((sum, kind) => sum + kind.streams, 0);
  const ageS = timeline && timeline.now_s - timeline.start_s;
  return (
    <Page
      title="Overview"
      summary={`${counted(streams, "stream")}, ${counted(data.subscriptions, "subscription")}; up for ${duration(ageS)}`}
      actions={<SpanChoice span={span} />}
    >
      <Figures data={data} timeline={timeline} />
      {streams === 0 && <FirstRun />}
      <Charts timeline={timeline} />
      {streams > 0 && <BusiestStreams />}
      <WorstLinks />
    </Page>
  );
}

function SpanChoice({ span }: { readonly span: Span }) {
  return (
    <fieldset class="choice" aria-label="Time shown">
      {SPANS.map(({ label }) => (
        <button key={label} type="button" aria-pressed={label === span.label} onClick={() => setQuery({ span: label })}>
          {label}
        </button>
      ))}
    </fieldset>
  );
}

interface FiguresProps {
  readonly data: SummaryData;
  readonly timeline: TimelineData | undefined;
}

function Figures({ data, timeline }: FiguresProps) {
  const last = (name: string): number | null | undefined => timeline?.series[name]?.at(-1);
  const { overload } = data;
  const connected = TYPES.reduce((sum, type) => sum + (data.connections[type] ?? 0), 0);
  const byType = TYPES.filter((type) => data.connections[type]).map(
    (type) => `${data.connections[type]} ${nameOf(type)}`,
  );
  const stage = STAGES[overload.stage] ?? { words: overload.reason, tone: "warning" };
  const limit = overload.pressure.memory_limit_bytes;
  return (
    <div class="figures">
      <Figure label="Overload" value={overload.stage.replace("_", "\u00a0")} note={stage.words} tone={stage.tone} />
      <Figure label="Connections" value={whole(connected)} note={byType.join(", ") || "nobody is here"} />
      <Figure
        label="Messages in"
        value={perS(last("messages_in_per_s"))}
        note={`out ${perS(last("messages_out_per_s"))}`}
      />
      <Figure
        label="Bytes in"
        value={bytesPerS(last("bytes_in_per_s"))}
        note={`out ${bytesPerS(last("bytes_out_per_s"))}`}
      />
      <Figure
        label="Latency, median"
        value={duration(data.latency.p50_s)}
        note={`99 %: ${duration(data.latency.p99_s)}`}
      />
      <Figure
        label="Loop lag"
        value={duration(last("loop_lag_max_s"))}
        note={`CPU ${scaled(last("cpu_share"))} cores`}
      />
      <Figure
        label="Memory"
        value={bytes(overload.pressure.resident_bytes)}
        note={limit === null ? "without a limit" : `of ${bytes(limit)}`}
      />
      <Figure
        label="Behind"
        value={whole(data.lagging)}
        note={`${bytes(data.outbox_bytes + data.transport_bytes)} wait`}
        tone={data.lagging ? "warning" : "plain"}
      />
    </div>
  );
}

function Charts({ timeline }: { readonly timeline: TimelineData | undefined }) {
  return (
    <div class="charts">
      <TimelineChart
        title="Messages"
        timeline={timeline}
        format={perS}
        lines={[
          ["in", "messages_in_per_s"],
          ["out", "messages_out_per_s"],
        ]}
      />
      <TimelineChart
        title="Bytes"
        timeline={timeline}
        format={bytesPerS}
        lines={[
          ["in", "bytes_in_per_s"],
          ["out", "bytes_out_per_s"],
        ]}
      />
      <TimelineChart
        title="Latency, from publish until sent"
        timeline={timeline}
        format={duration}
        lines={[
          ["median", "latency_p50_s"],
          ["99 %", "latency_p99_s"],
        ]}
      />
      <TimelineChart
        title="Round trips of connections"
        timeline={timeline}
        format={duration}
        lines={[
          ["median", "round_trip_p50_s"],
          ["99 %", "round_trip_p99_s"],
        ]}
      />
      <TimelineChart
        title="Lag of the event loop"
        timeline={timeline}
        format={duration}
        lines={[["largest", "loop_lag_max_s"]]}
      />
      <TimelineChart
        title="Memory"
        timeline={timeline}
        format={bytes}
        lines={[
          ["resident", "memory_bytes"],
          ["waits in queues", "queued_bytes"],
        ]}
      />
      <TimelineChart
        title="Connections"
        timeline={timeline}
        format={whole}
        whole
        lines={TYPES.map((type) => [nameOf(type), `connections_${type}`])}
      />
    </div>
  );
}

function nameOf(type: string): string {
  return type === "admin_panel" ? "panel" : type;
}
