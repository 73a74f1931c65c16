/** Optimizer, as `GET /api/v1/optimizer` tells it; the OpenAPI document describes all fields. */

export interface VerdictData {
  readonly in_force: boolean;
  /** Pairs of blocks of messages, one by the decision and one by the baseline. */
  readonly pairs: number;
  readonly measured_s: number | null;
  readonly baseline_s: number | null;
  readonly words: string;
}

export interface DecisionData {
  readonly stream: string;
  readonly view: string;
  readonly tier: string;
  readonly sdk: string;
  readonly chain: string;
  readonly delta: string | null;
  readonly predicted_s: number;
  readonly baseline_s: number;
  readonly predicted_ratio: number | null;
  readonly reason: string;
  readonly source: string;
  readonly verdict: VerdictData;
}

export interface TriedChainData {
  readonly chain: string;
  readonly encoded_bytes: number;
  readonly encode_s: number;
  readonly decode_s: number;
}

export interface AdviceData {
  readonly tier: string;
  readonly there: boolean;
  readonly best: string;
  readonly words: string;
}

export interface TriedStreamData {
  readonly stream: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly sample_bytes: number;
  readonly drifted: boolean;
  readonly tried: readonly TriedChainData[];
  readonly features: {
    readonly zero_share: number;
    readonly unchanged_share: number;
    readonly repeated_share: number;
  } | null;
  readonly classes: readonly {
    readonly tier: string;
    readonly sdk: string;
    readonly chain: string;
    readonly advice: readonly AdviceData[];
  }[];
  readonly decisions: readonly DecisionData[];
}

export interface OptimizerData {
  /** Counts of the traffic history; null: none is recorded, and nothing is learned. */
  readonly history: { readonly recorded: number; readonly failure: string } | null;
  readonly trials: {
    readonly tried: number;
    readonly probed: number;
    readonly failed: number;
    readonly drifts: number;
    readonly cpu_s: number;
    readonly cpu_share: number;
    readonly working: boolean;
    readonly failure: string;
    readonly busiest: readonly TriedStreamData[];
  } | null;
  readonly decisions: {
    readonly following: boolean;
    readonly in_force: number;
    readonly table: number;
    readonly changes: number;
    readonly taken_back: number;
    readonly failure: string;
  } | null;
  readonly predictions: {
    readonly fits: number;
    readonly predicted: number;
    readonly model_trials: number;
    readonly failure: string;
  } | null;
}
