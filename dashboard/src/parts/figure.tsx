/** Figures: single numbers that matter by themselves. */

import type { ComponentChildren } from "preact";
import { Icon } from "./icon.tsx";

export type Tone = "good" | "warning" | "bad" | "plain";

const ICONS = { good: "check", warning: "warning", bad: "error", plain: undefined } as const;

interface FigureProps {
  readonly label: string;
  /** Number with its unit, as of `format/`. */
  readonly value: string;
  /** Words below the number. */
  readonly note?: string | undefined;
  readonly tone?: Tone;
  readonly children?: ComponentChildren;
}

export function Figure({ label, value, note, tone = "plain", children }: FigureProps) {
  const [number, unit] = value.split(/ (.*)/s, 2);
  return (
    <div class="figure">
      <div class="figure-label">{label}</div>
      <div class="figure-value">
        {number}
        {unit && <span class="unit">{unit}</span>}
      </div>
      <div class="figure-note">{tone === "plain" ? note : <Badge tone={tone}>{note}</Badge>}</div>
      {children}
    </div>
  );
}

/** Word that tells a state, with an icon: colour alone tells nothing to many. */
export function Badge({ tone = "plain", children }: { readonly tone?: Tone; readonly children?: ComponentChildren }) {
  const icon = ICONS[tone];
  return (
    <span class={`badge badge-${tone}`}>
      {icon && <Icon name={icon} />}
      {children}
    </span>
  );
}
