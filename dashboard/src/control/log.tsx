/** Log of the gateway, live: its last lines, filtered, and the level from which it logs. */

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { pollerOf, usePolled } from "../api/poller.ts";
import { type Problem, problemIn } from "../api/problem.ts";
import { command } from "../api/requests.ts";
import { setQuery } from "../app/router.ts";
import { counted, whole } from "../format/numbers.ts";
import { exactClockTime } from "../format/times.ts";
import { CopyButton } from "../parts/copy_button.tsx";
import { csv } from "../parts/csv.ts";
import { Badge, type Tone } from "../parts/figure.tsx";
import { Section } from "../parts/page.tsx";
import { SearchField } from "../parts/search_field.tsx";
import { ProblemNote, Skeleton } from "../parts/states.tsx";
import { LOG_LEVELS, LogFollower, type LogLevel, type LogLine, matching } from "./log_follower.ts";

/** Lines that are drawn; of more that match the newest ones. */
const DRAWN = 500;
const TONES: Readonly<Record<LogLevel, Tone>> = { debug: "plain", info: "plain", warning: "warning", error: "bad" };

export function Log({ query }: { readonly query: Readonly<Record<string, string>> }) {
  const follower = useMemo(() => new LogFollower(), []);
  const [isPaused, setPaused] = useState(false);
  useEffect(() => {
    if (isPaused) {
      return undefined;
    }
    follower.start();
    return () => follower.stop();
  }, [follower, isPaused]);
  const least = LOG_LEVELS.find((level) => level === query.level) ?? "debug";
  const contains = query.contains ?? "";
  const lines = follower.lines.value;
  const found = useMemo(() => matching(lines ?? [], least, contains), [lines, least, contains]);
  return (
    <Section title="Log">
      <div class="toolbar">
        <SearchField
          label="Search the log"
          placeholder="Part of a line"
          value={contains}
          onInput={(text) => setQuery({ contains: text })}
        />
        <LevelChoice
          label="Show"
          value={least}
          onChoice={(level) => setQuery({ level: level === "debug" ? undefined : level })}
        />
        <button type="button" class="button" aria-pressed={isPaused} onClick={() => setPaused(!isPaused)}>
          {isPaused ? "Go on" : "Pause"}
        </button>
        <GatewayLevel />
      </div>
      {follower.problem.value && <ProblemNote problem={follower.problem.value} />}
      {lines ? <Lines lines={found} of={lines.length} missed={follower.missed.value} /> : <Skeleton lines={6} />}
    </Section>
  );
}

interface LinesProps {
  readonly lines: readonly LogLine[];
  /** Lines before the filter. */
  readonly of: number;
  readonly missed: number;
}

function Lines({ lines, of, missed }: LinesProps) {
  const box = useRef<HTMLElement>(null);
  const isAtEnd = useRef(true);
  useLayoutEffect(() => {
    const { current } = box;
    if (current && isAtEnd.current) {
      current.scrollTop = current.scrollHeight;
    }
  }, [lines]);
  const drawn = lines.slice(-DRAWN);
  const copied = (): string =>
    csv(
      ["time", "level", "logger", "text"],
      lines.map(({ time_s, level, logger, text }) => [new Date(time_s * 1000).toISOString(), level, logger, text]),
    );
  return (
    <div class="table">
      <section
        class="log"
        ref={box}
        onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
          isAtEnd.current = scrollHeight - scrollTop - clientHeight < 8;
        }}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls has to be reached by the keyboard
        tabIndex={0}
        aria-label="Lines of the log"
      >
        {drawn.length < lines.length && (
          <p class="faint">{whole(lines.length - drawn.length)} older lines match: search for a part of them.</p>
        )}
        {lines.length === 0 && (
          <p class="faint">
            {of ? "No line matches." : "The gateway has logged nothing yet: a level of debug makes it tell more."}
          </p>
        )}
        {drawn.map(({ seq, time_s, level, logger, text }) => (
          <div key={`${time_s} ${seq}`} class={`log-line log-${level}`}>
            <time>{exactClockTime(time_s)}</time>
            <Badge tone={TONES[level]}>{level}</Badge>
            <span class="log-logger">{logger}</span>
            <span class="log-text">{text}</span>
          </div>
        ))}
      </section>
      <div class="table-foot">
        <span>
          {lines.length === of ? counted(of, "line") : `${whole(lines.length)} of ${counted(of, "line")}`}
          {missed > 0 && `, ${whole(missed)} came too fast to be shown`}
        </span>
        <CopyButton label="Copy as CSV" text={copied} />
      </div>
    </div>
  );
}

/** Level from which the gateway logs at all. */
function GatewayLevel() {
  const path = "/api/v1/log/level";
  const { data } = usePolled<{ readonly level: LogLevel }>(path, 5000);
  const [problem, setProblem] = useState<Problem>();
  const set = async (level: LogLevel): Promise<void> => {
    try {
      await command("PUT", path, { level });
      setProblem(undefined);
    } catch (error) {
      setProblem(problemIn(error));
    }
    await pollerOf(path, 5000).poll();
  };
  return (
    <div class="log-level">
      {problem && <ProblemNote problem={problem} />}
      <LevelChoice
        label="The gateway logs"
        hint="What it writes to stderr as well, until it ends or the level is set again"
        value={data?.level}
        onChoice={(level) => void set(level)}
      />
    </div>
  );
}

interface LevelChoiceProps {
  readonly label: string;
  readonly hint?: string;
  /** Undefined: not known yet. */
  readonly value: LogLevel | undefined;
  readonly onChoice: (level: LogLevel) => void;
}

function LevelChoice({ label, hint, value, onChoice }: LevelChoiceProps) {
  return (
    <label class="log-choice" title={hint}>
      {label}
      <select
        class="field"
        value={value ?? ""}
        disabled={value === undefined}
        onChange={({ currentTarget }) => onChoice(currentTarget.value as LogLevel)}
      >
        {value === undefined && <option value="">…</option>}
        {LOG_LEVELS.map((level, index) => (
          <option key={level} value={level}>
            {index === 0 ? "all lines" : `${level}${index < LOG_LEVELS.length - 1 ? " and above" : ""}`}
          </option>
        ))}
      </select>
    </label>
  );
}
