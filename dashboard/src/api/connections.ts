/** Connections, as `GET /api/v1/connections` lists them; the OpenAPI document describes all fields. */

export interface LinkData {
  readonly score: number;
  readonly rtt_s: number | null;
  readonly jitter_s: number | null;
  readonly goodput_bytes_per_s: number | null;
  readonly queue_delay_s: number | null;
  readonly unread_s: number | null;
  readonly gap_share: number | null;
  readonly conflated_share: number | null;
  readonly decode_s_per_byte: number | null;
  readonly smallest_rtt_s: number | null;
  readonly bottleneck: string;
  readonly tier: string;
  readonly unread_bytes: number;
  readonly behind: readonly { readonly stream: string; readonly behind: number; readonly offset: number }[];
}

export interface ConnectionData {
  readonly peer: number;
  readonly address: string;
  readonly age_s: number;
  readonly client_id: string;
  readonly client_type: string;
  readonly agent: string;
  readonly subprotocol: string;
  readonly state: string;
  readonly subscriptions: number;
  readonly aliases: number;
  readonly groups: readonly string[];
  readonly lagging: boolean;
  readonly paced: boolean;
  readonly lowered: number;
  readonly waiting_bytes: number;
  readonly conflated: number;
  readonly client_conflated: number;
  readonly dropped: number;
  readonly link: LinkData;
}

/** Connections of one answer at most. */
export const MOST_CONNECTIONS = 1000;

export type ConnectionOrder = "waiting_bytes" | "score" | "behind";

/** Return the path of the connections that come first by a number. */
export function firstConnections(sort: ConnectionOrder, limit = MOST_CONNECTIONS): string {
  return `/api/v1/connections?sort=${sort}&limit=${limit}`;
}
