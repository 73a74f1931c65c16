/** Plans in words: settings in force in a workflow, and what became of those that were tried. */

import type { AdjustmentData, PlansData } from "../api/workflows.ts";
import { duration } from "../format/times.ts";
import { Badge, type Tone } from "../parts/figure.tsx";
import { Section } from "../parts/page.tsx";
import { EmptyState } from "../parts/states.tsx";
import { type Column, Table } from "../parts/table.tsx";

const KNOBS: Readonly<Record<string, string>> = {
  flush_window: "Collect small messages for a while",
  pacing: "Send states as the receiver reads them",
  view: "Send the lower view",
  routing: "Send requests to the member that answers first",
  heartbeat: "Ask for signs of life often",
  sender_credit: "Let publishers wait for a receiver of many",
  priority: "Serve small messages first",
  prefetch: "Keep the past in memory for those that join",
  chunk_size: "Cut large messages into larger chunks",
  keyframe_ahead: "Encode the newest version before others join",
};

const VERDICTS: Readonly<Record<string, { readonly words: string; readonly tone: Tone }>> = {
  kept: { words: "kept", tone: "good" },
  rolled_back: { words: "rolled back", tone: "warning" },
  void: { words: "not told", tone: "plain" },
  standing: { words: "without a trial", tone: "plain" },
};

const COLUMNS: readonly Column<AdjustmentData>[] = [
  { id: "age", label: "Ago", value: ({ age_s }) => age_s, cell: ({ age_s }) => duration(age_s), numeric: true },
  {
    id: "knob",
    label: "Setting",
    value: ({ knob }) => knob,
    cell: ({ knob, value }) => `${knobWords(knob)}${value === 0 ? ": ended" : ""}`,
  },
  {
    id: "site",
    label: "Where",
    value: ({ name }) => name,
    cell: ({ name }) => <span class="mono">{name}</span>,
    priority: 2,
  },
  { id: "reason", label: "Why", value: ({ reason }) => reason, priority: 3 },
  {
    id: "verdict",
    label: "Verdict",
    value: ({ verdict }) => verdict,
    cell: ({ verdict, effect }) => {
      const { words, tone } = VERDICTS[verdict] ?? { words: verdict, tone: "plain" };
      return (
        <span title={effect}>
          <Badge tone={tone}>{words}</Badge>
        </span>
      );
    },
  },
  { id: "effect", label: "Effect", value: ({ effect }) => effect, priority: 3 },
];

export function knobWords(knob: string): string {
  return KNOBS[knob] ?? knob.replaceAll("_", " ");
}

export function Plans({ plans, workflow }: { readonly plans: PlansData | undefined; readonly workflow: string }) {
  if (!plans) {
    return null;
  }
  if (plans.mode === "off") {
    return (
      <Section title="Plans">
        <EmptyState title="Plans are turned off">
          <p>
            Take <code>mode = "off"</code> out of <code>[planning]</code> in the gateway's file of settings, and start
            it again.
          </p>
        </EmptyState>
      </Section>
    );
  }
  const wanted = plans.plan.wanted.filter((each) => each.workflow === workflow);
  const sites = new Set(wanted.map(({ knob, name }) => `${knob} ${name}`));
  const inForce = plans.settings.filter(({ knob, name }) => name === workflow || sites.has(`${knob} ${name}`));
  const tried = plans.adjustments.filter((each) => each.workflow === workflow);
  return (
    <Section
      title="Plans"
      summary={plans.mode === "advise" ? "Plans are made and told here, and nothing is set (mode advise)." : undefined}
    >
      <ul class="settings">
        {inForce.map(({ knob, name, on_trial }) => (
          <li key={`${knob} ${name}`}>
            <Badge tone={on_trial ? "warning" : "good"}>{on_trial ? "on trial" : "in force"}</Badge> {knobWords(knob)}
            {name !== workflow && (
              <>
                {" "}
                for <span class="mono">{name}</span>
              </>
            )}
            : {wanted.find((each) => each.knob === knob && each.name === name)?.reason ?? "what called for it is over"}
          </li>
        ))}
        {inForce.length === 0 && <li class="faint">Nothing differs from the defaults here.</li>}
      </ul>
      <Table
        label="Adjustments"
        columns={COLUMNS}
        rows={tried}
        keyOf={({ number }) => number}
        maxRows={8}
        empty="Nothing has been tried here."
      />
    </Section>
  );
}
