/** Columns of lists of connections. */

import type { ConnectionData } from "../api/connections.ts";
import { bytes, whole } from "../format/numbers.ts";
import { duration } from "../format/times.ts";
import { Badge } from "../parts/figure.tsx";
import type { Column } from "../parts/table.tsx";

/** Bottlenecks in words. */
const BOTTLENECKS: Readonly<Record<string, string>> = { none: "", link: "slow line", client: "slow reader" };

const CLIENT: Column<ConnectionData> = {
  id: "client",
  label: "Client",
  value: ({ client_id }) => client_id,
  cell: ({ client_id }) => <span class="mono">{client_id}</span>,
};
const TYPE: Column<ConnectionData> = {
  id: "type",
  label: "Type",
  value: ({ client_type }) => client_type.replace("_", " "),
  priority: 2,
};
const BOTTLENECK: Column<ConnectionData> = {
  id: "bottleneck",
  label: "Bottleneck",
  value: ({ link }) => BOTTLENECKS[link.bottleneck] ?? link.bottleneck.replace("_", " "),
  priority: 3,
};
const ROUND_TRIP: Column<ConnectionData> = {
  id: "rtt",
  label: "Round trip",
  numeric: true,
  value: ({ link }) => link.rtt_s,
  cell: ({ link }) => duration(link.rtt_s),
};
const WAITS: Column<ConnectionData> = {
  id: "waiting",
  label: "Waits",
  hint: "Bytes in its queue",
  numeric: true,
  value: ({ waiting_bytes }) => waiting_bytes,
  cell: ({ waiting_bytes }) => bytes(waiting_bytes),
  priority: 2,
};
const SCORE: Column<ConnectionData> = {
  id: "score",
  label: "Score",
  hint: "Quality of the link, from 0 to 1",
  numeric: true,
  value: ({ link }) => link.score,
  cell: ({ link }) => (
    <span class="score">
      <meter min={0} max={1} low={0.5} high={0.8} optimum={1} value={link.score} aria-hidden="true" />
      {link.score.toFixed(2)}
    </span>
  ),
};

/** What matters at a glance. */
export const FEW_COLUMNS: readonly Column<ConnectionData>[] = [CLIENT, TYPE, BOTTLENECK, ROUND_TRIP, WAITS, SCORE];

export const ALL_COLUMNS: readonly Column<ConnectionData>[] = [
  CLIENT,
  TYPE,
  { id: "address", label: "Address", value: ({ address }) => address, priority: 3 },
  {
    id: "age",
    label: "Connected",
    hint: "For so long",
    numeric: true,
    value: ({ age_s }) => age_s,
    cell: ({ age_s }) => duration(age_s),
    priority: 3,
  },
  {
    id: "state",
    label: "State",
    value: ({ lagging, paced, lowered }) => stateWords(lagging, paced, lowered),
    cell: ({ lagging, paced, lowered }) =>
      lagging || paced || lowered ? <Badge tone="warning">{stateWords(lagging, paced, lowered)}</Badge> : "keeps up",
    priority: 3,
  },
  BOTTLENECK,
  {
    id: "subscriptions",
    label: "Subscriptions",
    numeric: true,
    value: ({ subscriptions }) => subscriptions,
    priority: 3,
  },
  {
    id: "left_out",
    label: "Conflated, dropped",
    hint: "Versions of states that newer ones replaced, and events that were lost to it",
    numeric: true,
    value: ({ conflated, client_conflated, dropped }) => conflated + client_conflated + dropped,
    cell: ({ conflated, client_conflated, dropped }) => `${whole(conflated + client_conflated)}, ${whole(dropped)}`,
    priority: 3,
  },
  WAITS,
  ROUND_TRIP,
  SCORE,
];

function stateWords(lagging: boolean, paced: boolean, lowered: number): string {
  const words = [lagging && "behind", paced && "paced", lowered > 0 && "lower view"].filter(Boolean);
  return words.join(", ") || "keeps up";
}
