/** Workflows and plans, as the admin port tells them; the OpenAPI document describes all fields. */

export interface EdgeData {
  readonly source: string;
  readonly target: string;
  /** Way of the messages: `stream` or `request`. */
  readonly via: string;
  readonly messages_per_s: number;
  readonly bytes_per_s: number;
}

/** Client of an edge. */
export interface ParticipantData {
  readonly client_id: string;
  /** Null of a client that has gone, unless it was a panel; as its connection and the age of that. */
  readonly client_type: string | null;
  readonly peer: number | null;
  readonly age_s: number | null;
}

export interface WorkflowData {
  readonly id: number;
  readonly name: string;
  readonly pattern: string;
  readonly confidence: number;
  readonly pattern_s: number;
  readonly messages_per_s: number;
  readonly bytes_per_s: number;
  readonly clients: number;
  /** Admin panels among the clients, which do not count for the pattern. */
  readonly panels: number;
  readonly edges: readonly EdgeData[];
  readonly participants: readonly ParticipantData[];
}

export interface SettingData {
  readonly knob: string;
  readonly name: string;
  readonly value: number;
  readonly on_trial: boolean;
}

export interface AdjustmentData {
  readonly number: number;
  readonly knob: string;
  readonly name: string;
  readonly workflow: string;
  readonly before: number;
  readonly value: number;
  readonly reason: string;
  readonly verdict: string;
  readonly effect: string;
  readonly age_s: number;
}

export interface PlansData {
  readonly mode: string;
  readonly recess_s: number;
  readonly plan: {
    readonly wanted: readonly {
      readonly knob: string;
      readonly name: string;
      readonly workflow: string;
      readonly reason: string;
    }[];
    readonly strategies: readonly {
      readonly workflow: string;
      readonly knobs: readonly string[];
      readonly reason: string;
    }[];
  };
  readonly settings: readonly SettingData[];
  readonly adjustments: readonly AdjustmentData[];
}

export interface MemberData {
  readonly id: number;
  readonly client_id: string;
  readonly client_type: string;
  readonly away: boolean;
  readonly metadata: object;
  readonly awareness: object | null;
}
