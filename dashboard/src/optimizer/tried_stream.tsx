/** Optimizer of one stream: its decisions in words, all candidates that were tried, and what other links would get. */

import type { AdviceData, DecisionData, OptimizerData, TriedChainData, TriedStreamData } from "../api/optimizer.ts";
import { hashOf } from "../app/router.ts";
import { bytes, bytesPerS, percent } from "../format/numbers.ts";
import { duration } from "../format/times.ts";
import { Badge } from "../parts/figure.tsx";
import { Page, Section } from "../parts/page.tsx";
import { EmptyState } from "../parts/states.tsx";
import { type Column, Table } from "../parts/table.tsx";
import { measuredSaving, predictedSaving, savingWords } from "./saving.ts";

export function TriedStream({ name, data }: { readonly name: string; readonly data: OptimizerData }) {
  const stream = data.trials?.busiest.find((each) => each.stream === name);
  if (!stream) {
    return (
      <Page title={name}>
        <EmptyState title="Nothing was tried for this stream">
          <p>
            Only large messages are tried, and the busiest streams first.{" "}
            <a href={hashOf(["optimizer"])}>Go to all decisions.</a>
          </p>
        </EmptyState>
      </Page>
    );
  }
  const { dtype, shape, features } = stream;
  return (
    <Page
      title={name}
      summary={
        <>
          <a href={hashOf(["optimizer"])}>Optimizer</a> ·{" "}
          <a href={hashOf(["streams", ...name.split("/")])}>the stream</a> ·{" "}
          <span class="mono">
            {dtype} [{shape.join(", ")}]
          </span>
          {features &&
            `; ${percent(features.zero_share)} zeros, ${percent(features.unchanged_share)} unchanged since the version before`}
          {stream.drifted && "; its contents have changed kind lately"}
        </>
      }
    >
      <Section title="Decisions">
        <div class="decisions">
          {stream.decisions.map((decision) => (
            <Decision key={`${decision.view}\n${decision.tier}\n${decision.sdk}`} decision={decision} />
          ))}
        </div>
      </Section>
      <Section title="Candidates" summary={`As tried on a sample of ${bytes(stream.sample_bytes)}.`}>
        <Candidates stream={stream} />
      </Section>
      <Section title="Other links" summary="What receivers of each tier would get.">
        <Table
          label="Advice by tier"
          columns={ADVICE_COLUMNS}
          rows={stream.classes[0]?.advice ?? []}
          keyOf={({ tier }) => tier}
          empty="Not known yet."
        />
      </Section>
    </Page>
  );
}

function Decision({ decision }: { readonly decision: DecisionData }) {
  const { tier, sdk, chain, delta, predicted_s, baseline_s, reason, source, verdict } = decision;
  const costs = [
    ["predicted", predicted_s, "0"],
    ["baseline, predicted", baseline_s, "1"],
    ["measured", verdict.measured_s, "0"],
    ["baseline, measured", verdict.baseline_s, "1"],
  ] as const;
  const most = Math.max(...costs.map(([, cost]) => cost ?? 0), 1e-9);
  return (
    <article class="decision">
      <h3>
        <span class="mono">{delta ? `${chain}, deltas ${delta}` : chain}</span>{" "}
        <span class="faint">
          to {tier} receivers by {sdk}, from {source}
        </span>
      </h3>
      <p>{reason}</p>
      <dl class="costs">
        {costs.map(([label, cost, series]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>
              <span class={`cost-bar series-fill-${series}`} style={{ width: `${(100 * (cost ?? 0)) / most}%` }} />
              <b>{duration(cost)}</b>
            </dd>
          </div>
        ))}
      </dl>
      <p>
        <Badge tone={verdict.in_force ? (verdict.pairs ? "good" : "plain") : "warning"}>
          {verdict.in_force ? "in force" : "taken back"}
        </Badge>{" "}
        {verdict.words}. Predicted: {savingWords(predictedSaving(decision))}; measured:{" "}
        {savingWords(measuredSaving(decision))}.
      </p>
    </article>
  );
}

function Candidates({ stream: { sample_bytes, tried } }: { readonly stream: TriedStreamData }) {
  const columns: readonly Column<TriedChainData>[] = [
    {
      id: "chain",
      label: "Encoding",
      value: ({ chain }) => chain,
      cell: ({ chain }) => <span class="mono">{chain}</span>,
    },
    {
      id: "ratio",
      label: "Of the bytes",
      numeric: true,
      value: ({ encoded_bytes }) => encoded_bytes / sample_bytes,
      cell: ({ encoded_bytes }) => percent(encoded_bytes / sample_bytes),
    },
    {
      id: "encode",
      label: "Encodes",
      numeric: true,
      value: ({ encode_s }) => encode_s,
      cell: ({ encode_s }) => speed(sample_bytes, encode_s),
    },
    {
      id: "decode",
      label: "Decodes",
      hint: "By the gateway's own decoder",
      numeric: true,
      value: ({ decode_s }) => decode_s,
      cell: ({ decode_s }) => speed(sample_bytes, decode_s),
      priority: 2,
    },
  ];
  return <Table label="Candidates" columns={columns} rows={tried} keyOf={({ chain }) => chain} maxRows={14} />;
}

function speed(nbytes: number, seconds: number): string {
  return seconds > 0 ? bytesPerS(nbytes / seconds) : "at once";
}

const ADVICE_COLUMNS: readonly Column<AdviceData>[] = [
  { id: "tier", label: "Link", value: ({ tier }) => tier },
  { id: "best", label: "Encoding", value: ({ best }) => best, cell: ({ best }) => <span class="mono">{best}</span> },
  { id: "there", label: "Receivers now", value: ({ there }) => (there ? "yes" : "none"), priority: 3 },
  { id: "words", label: "Why", value: ({ words }) => words, priority: 2 },
];
