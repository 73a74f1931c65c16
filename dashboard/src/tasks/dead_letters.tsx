/** Dead letters: messages that were refused too often, or whose consumer has not come back; each can be sent again. */

import { useState } from "preact/hooks";
import { pollerOf, usePolled } from "../api/poller.ts";
import { type Problem, problemIn } from "../api/problem.ts";
import { command } from "../api/requests.ts";
import { shapeText } from "../api/streams.ts";
import type { DeadLetterData } from "../api/tasks.ts";
import { hashOf } from "../app/router.ts";
import { whole } from "../format/numbers.ts";
import { clockTime } from "../format/times.ts";
import { Confirm } from "../parts/dialog.tsx";
import { Badge } from "../parts/figure.tsx";
import { Section } from "../parts/page.tsx";
import { ProblemNote } from "../parts/states.tsx";
import { type Column, Table } from "../parts/table.tsx";

const PATH = "/api/v1/dead-letters?limit=200";
const INTERVAL_MS = 4000;

interface Answer {
  readonly dead_letters: readonly DeadLetterData[];
  readonly streams: readonly { readonly stream: string; readonly messages: number }[];
}

function columnsWith(onResend: (letter: DeadLetterData) => void): readonly Column<DeadLetterData>[] {
  return [
    {
      id: "origin",
      label: "Stream",
      value: ({ origin }) => origin,
      cell: ({ origin, origin_offset }) => (
        <span class="mono">
          {origin} {origin_offset}
        </span>
      ),
    },
    { id: "reason", label: "Reason", value: ({ reason }) => reason },
    { id: "client", label: "Consumer", value: ({ client_id }) => client_id, priority: 2 },
    { id: "tries", label: "Tries", numeric: true, value: ({ tries }) => tries, priority: 3 },
    { id: "time", label: "Died", value: ({ time_s }) => time_s, cell: ({ time_s }) => clockTime(time_s), priority: 3 },
    {
      id: "content",
      label: "Content",
      value: ({ tensors, undecodable }) => undecodable ?? tensors.map(shapeText).join(", "),
      priority: 3,
    },
    {
      id: "resend",
      label: "Send again",
      value: ({ resent_s }) => resent_s,
      cell: (letter) =>
        letter.resent_s === null ? (
          <button type="button" class="button button-small" onClick={() => onResend(letter)}>
            Send again
          </button>
        ) : (
          <Badge tone="good">sent at {clockTime(letter.resent_s)}</Badge>
        ),
    },
  ];
}

async function resend({ stream, offset }: DeadLetterData): Promise<void> {
  await command("POST", "/api/v1/dead-letters/resend", { stream, offset });
}

export function DeadLetters() {
  const { data } = usePolled<Answer>(PATH, INTERVAL_MS);
  const [problem, setProblem] = useState<Problem>();
  const [askingAll, setAskingAll] = useState(false);
  const letters = data?.dead_letters ?? [];
  const unsent = letters.filter(({ resent_s }) => resent_s === null);
  const refresh = (): Promise<void> => pollerOf<Answer>(PATH, INTERVAL_MS).poll();
  const one = async (letter: DeadLetterData): Promise<void> => {
    try {
      await resend(letter);
      setProblem(undefined);
    } catch (error) {
      setProblem(problemIn(error));
    }
    await refresh();
  };
  return (
    <Section
      title="Dead letters"
      summary={
        data && data.streams.length > 0
          ? data.streams.map(({ stream, messages }) => (
              <span key={stream}>
                <a class="mono" href={hashOf(["streams", ...stream.split("/")])}>
                  {stream}
                </a>{" "}
                has {whole(messages)}{" "}
              </span>
            ))
          : undefined
      }
    >
      {problem && <ProblemNote problem={problem} />}
      <Table
        label="Dead letters"
        columns={columnsWith((letter) => void one(letter))}
        rows={letters}
        keyOf={({ stream, offset }) => `${stream} ${offset}`}
        maxRows={10}
        empty="None: no message was refused too often."
      />
      {unsent.length > 1 && (
        <p class="below">
          <button type="button" class="button" onClick={() => setAskingAll(true)}>
            Send all {whole(unsent.length)} again…
          </button>
        </p>
      )}
      {askingAll && (
        <Confirm
          title={`Send ${whole(unsent.length)} messages again?`}
          action="Send them again"
          onConfirm={async () => {
            for (const letter of unsent) {
              await resend(letter);
            }
            await refresh();
          }}
          onClose={() => setAskingAll(false)}
        >
          <p>
            Each is published to the stream that it came from, and its consumers get it. The dead letters stay until
            their stream is deleted.
          </p>
        </Confirm>
      )}
    </Section>
  );
}
