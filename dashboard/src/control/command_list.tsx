/** Commands of this browser session, with their acknowledgements. */

import { clockTime, duration } from "../format/times.ts";
import { Badge } from "../parts/figure.tsx";
import { Section } from "../parts/page.tsx";
import { type Column, Table } from "../parts/table.tsx";
import { contentText, type Draft } from "./draft.ts";
import { type Outcome, type SentCommand, sentCommands } from "./sent_commands.ts";

export function CommandList({ onAgain }: { readonly onAgain: (draft: Draft) => void }) {
  const columns: readonly Column<SentCommand>[] = [
    { id: "time", label: "Time", value: ({ timeS }) => clockTime(timeS), priority: 2 },
    {
      id: "stream",
      label: "Stream",
      value: ({ draft }) => draft.stream,
      cell: ({ draft }) => <span class="mono">{draft.stream}</span>,
    },
    { id: "outcome", label: "Answer", value: outcomeText, cell: ({ outcome }) => <Answered outcome={outcome} /> },
    {
      id: "again",
      label: "",
      value: () => "",
      cell: ({ draft }) => (
        <button type="button" class="button button-quiet" onClick={() => onAgain(draft)}>
          Edit
        </button>
      ),
    },
    {
      id: "content",
      label: "Command",
      value: ({ draft }) => contentText(draft),
      cell: ({ draft }) => <span class="mono">{contentText(draft)}</span>,
      priority: 2,
    },
  ];
  return (
    <Section title="Last commands">
      <Table
        label="Last commands"
        columns={columns}
        rows={sentCommands.value}
        keyOf={({ number }) => number}
        maxRows={9}
        empty="The commands that you publish are kept here until the tab is closed."
      />
    </Section>
  );
}

function Answered({ outcome }: { readonly outcome: Outcome }) {
  return "error" in outcome ? (
    <span title={outcome.error}>
      <Badge tone="bad">refused</Badge>
    </span>
  ) : (
    <span title={`Epoch ${outcome.epoch}`}>
      <Badge tone="good">offset {outcome.offset}</Badge> <span class="faint">in {duration(outcome.latencyS)}</span>
    </span>
  );
}

function outcomeText({ outcome }: SentCommand): string {
  return "error" in outcome ? outcome.error : `offset ${outcome.offset} of epoch ${outcome.epoch}`;
}
