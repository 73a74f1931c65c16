/** Form of a command: its stream, headers and tensor. */

import type { ComponentChildren } from "preact";
import { useEffect, useId, useMemo, useState } from "preact/hooks";
import { usePolled } from "../api/poller.ts";
import { busiestStreams, type StreamData } from "../api/streams.ts";
import { setQuery } from "../app/router.ts";
import { duration } from "../format/times.ts";
import { Badge } from "../parts/figure.tsx";
import { Section } from "../parts/page.tsx";
import { ProblemNote } from "../parts/states.tsx";
import { CommandPublisher } from "./command_publisher.ts";
import { commandOf, type Draft, type Faults } from "./draft.ts";
import { WRITTEN_DTYPES } from "./numbers_text.ts";
import { type Outcome, remember } from "./sent_commands.ts";
import { TargetNote } from "./target_note.tsx";

interface CommandFormProps {
  readonly draft: Draft;
  readonly onDraft: (draft: Draft) => void;
}

export function CommandForm({ draft, onDraft }: CommandFormProps) {
  const publisher = useMemo(() => new CommandPublisher(), []);
  useEffect(() => () => publisher.close(), [publisher]);
  const [faults, setFaults] = useState<Faults>({});
  const [isBusy, setBusy] = useState(false);
  const [answer, setAnswer] = useState<Outcome>();
  const settle = (outcome: Outcome): void => {
    setAnswer(outcome);
    remember(draft, outcome);
  };
  const change = (changes: Partial<Draft>): void => {
    onDraft({ ...draft, ...changes });
    setFaults({});
    setAnswer(undefined);
  };
  const publish = async (): Promise<void> => {
    const found = commandOf(draft);
    if ("faults" in found) {
      setFaults(found.faults);
      return;
    }
    setBusy(true);
    try {
      const { offset, epoch, latencyS } = await publisher.publish(found.command);
      settle({ offset: `${offset}`, epoch, latencyS });
    } catch (error) {
      settle({ error: (error as Error).message });
    } finally {
      setBusy(false);
    }
  };
  return (
    <Section title="Publish a command">
      <form
        class="command-form"
        onSubmit={(event) => {
          event.preventDefault();
          void publish();
        }}
      >
        <Field label="Stream" fault={faults.stream} note={<TargetNote stream={draft.stream.trim()} />}>
          {(attributes) => (
            <>
              <input
                {...attributes}
                class="field mono"
                list="control-streams"
                placeholder="wf-42/commands"
                spellcheck={false}
                value={draft.stream}
                onInput={({ currentTarget }) => change({ stream: currentTarget.value })}
                onChange={() => setQuery({ stream: draft.stream.trim() || undefined })}
              />
              <ControlStreams id="control-streams" />
            </>
          )}
        </Field>
        <Field label="Headers, as JSON" fault={faults.headers}>
          {(attributes) => (
            <textarea
              {...attributes}
              class="field mono"
              rows={3}
              placeholder={'{"action": "pause", "after_step": 100}'}
              spellcheck={false}
              value={draft.headers}
              onInput={({ currentTarget }) => change({ headers: currentTarget.value })}
            />
          )}
        </Field>
        <TensorFields draft={draft} fault={faults.numbers} onChange={change} />
        <div class="command-buttons">
          <button type="submit" class="button button-main" disabled={isBusy}>
            Publish the command
          </button>
          <Answer isAwaited={isBusy} outcome={answer} />
        </div>
      </form>
    </Section>
  );
}

function Answer({ isAwaited, outcome }: { readonly isAwaited: boolean; readonly outcome: Outcome | undefined }) {
  if (isAwaited || !outcome) {
    return <span class="faint">{isAwaited && "Waits for the gateway…"}</span>;
  }
  if ("error" in outcome) {
    return <ProblemNote problem={{ status: 0, error: "", message: outcome.error }} />;
  }
  return (
    <span role="status">
      <Badge tone="good">accepted</Badge> as offset {outcome.offset}, in {duration(outcome.latencyS)}
    </span>
  );
}

interface TensorFieldsProps {
  readonly draft: Draft;
  readonly fault: string | undefined;
  readonly onChange: (changes: Partial<Draft>) => void;
}

function TensorFields({ draft, fault, onChange }: TensorFieldsProps) {
  const { dtype, shape, numbers } = draft;
  return (
    <>
      <div class="command-tensor">
        <label class="label">
          Tensor
          <select
            class="field"
            value={dtype}
            onChange={({ currentTarget }) => onChange({ dtype: currentTarget.value as Draft["dtype"] })}
          >
            <option value="">none</option>
            {WRITTEN_DTYPES.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </label>
        {dtype && (
          <label class="label">
            Shape
            <input
              class="field mono"
              placeholder="as the lists are"
              value={shape}
              onInput={({ currentTarget }) => onChange({ shape: currentTarget.value })}
            />
          </label>
        )}
      </div>
      {dtype && (
        <Field label="Numbers" fault={fault}>
          {(attributes) => (
            <textarea
              {...attributes}
              class="field mono"
              rows={3}
              placeholder="0.5, 1, 2   or   [[1, 2], [3, 4]]"
              spellcheck={false}
              value={numbers}
              onInput={({ currentTarget }) => onChange({ numbers: currentTarget.value })}
            />
          )}
        </Field>
      )}
    </>
  );
}

/** Names of control streams, which the field of the stream proposes. */
function ControlStreams({ id }: { readonly id: string }) {
  const { data } = usePolled<{ readonly streams: readonly StreamData[] }>(busiestStreams(), 10_000);
  return (
    <datalist id={id}>
      {data?.streams
        .filter(({ kind }) => kind === "control")
        .map(({ name }) => (
          <option key={name} value={name} />
        ))}
    </datalist>
  );
}

interface FieldProps {
  readonly label: string;
  readonly fault: string | undefined;
  readonly note?: ComponentChildren;
  readonly children: (attributes: {
    readonly id: string;
    readonly "aria-describedby": string;
    readonly "aria-invalid": boolean;
  }) => ComponentChildren;
}

/** Field with its label, and below it what is wrong with its text. */
function Field({ label, fault, note, children }: FieldProps) {
  const id = useId();
  return (
    <div class="label">
      <label for={id}>{label}</label>
      {children({ id, "aria-describedby": `${id}-note`, "aria-invalid": fault !== undefined })}
      <div id={`${id}-note`} class={fault ? "field-fault" : "field-note"} role={fault ? "alert" : undefined}>
        {fault ?? note}
      </div>
    </div>
  );
}
