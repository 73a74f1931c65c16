/** Summary of the gateway, as `GET /api/v1/summary` has it; the OpenAPI document describes all fields. */

export interface KindCounts {
  readonly streams: number;
  readonly published_messages: number;
  readonly published_bytes: number;
  readonly delivered_messages: number;
}

export type Stage = "normal" | "conflate" | "lower_views" | "refuse_dashboards" | "shed";

export interface SummaryData {
  readonly version: string;
  readonly time_s: number;
  readonly draining: boolean;
  readonly greeting: number;
  readonly connections: Readonly<Record<string, number>>;
  readonly kinds: Readonly<Record<string, KindCounts>>;
  readonly subscriptions: number;
  readonly lagging: number;
  readonly outbox_bytes: number;
  readonly transport_bytes: number;
  readonly history_bytes: number;
  readonly conflated_messages: number;
  readonly dropped_messages: number;
  /** Delivery latency of the last seconds; null: nothing was delivered then. */
  readonly latency: { readonly p50_s: number | null; readonly p99_s: number | null };
  readonly store: { readonly problem: string | null; readonly failures: number };
  readonly overload: {
    readonly stage: Stage;
    readonly stage_s: number | null;
    readonly reason: string;
    readonly pressure: {
      readonly loop_lag_s: number;
      readonly resident_bytes: number;
      readonly queued_bytes: number;
      readonly memory_limit_bytes: number | null;
    };
  };
}
