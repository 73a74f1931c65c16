/** Connections: a list of all, and a page for each. */

import { type ConnectionData, type ConnectionOrder, firstConnections, MOST_CONNECTIONS } from "../api/connections.ts";
import { usePolled } from "../api/poller.ts";
import { orderOf } from "../app/order.ts";
import { OrderedTable } from "../app/ordered_table.tsx";
import { hashOf, type Route, setQuery } from "../app/router.ts";
import { whole } from "../format/numbers.ts";
import { Page } from "../parts/page.tsx";
import { SearchField } from "../parts/search_field.tsx";
import { ProblemNote, Skeleton } from "../parts/states.tsx";

import { ALL_COLUMNS } from "./columns.tsx";
import { ConnectionPage, Gone } from "./connection_page.tsx";
import { peerOf } from "./peer.ts";

const TYPES = ["agent", "workflow", "admin_panel", "extension"];
const USUAL_ORDER = "score";

export function Connections({ route }: { readonly route: Route }) {
  const number = route.path[1];
  if (number === undefined) {
    return <ConnectionList route={route} />;
  }
  const peer = peerOf(number);
  return peer === undefined ? <Gone name={number} /> : <ConnectionPage key={peer} peer={peer} />;
}

function ConnectionList({ route: { query } }: { readonly route: Route }) {
  const { search = "", type, sort = USUAL_ORDER } = query;
  const order = orderOf(sort);
  const { data, problem } = usePolled<{ readonly connections: readonly ConnectionData[] }>(
    firstConnections(order?.column === "waiting" ? ("waiting_bytes" satisfies ConnectionOrder) : "score"),
  );
  const part = search.trim().toLowerCase();
  const wanted = (data?.connections ?? []).filter(
    ({ client_id, client_type }) => (!type || client_type === type) && client_id.toLowerCase().includes(part),
  );
  const isCut = data?.connections.length === MOST_CONNECTIONS;
  return (
    <Page
      title="Connections"
      summary={isCut ? `The ${whole(MOST_CONNECTIONS)} with the worst links, or the longest queues.` : undefined}
    >
      <div class="toolbar">
        <SearchField
          label="Search connections"
          placeholder="Part of a client's id"
          value={search}
          onInput={(text) => setQuery({ search: text })}
        />
        <select
          class="field"
          aria-label="Type of client"
          value={type ?? ""}
          onChange={({ currentTarget }) => setQuery({ type: currentTarget.value })}
        >
          <option value="">All types</option>
          {TYPES.map((each) => (
            <option key={each} value={each}>
              {each.replace("_", " ")}
            </option>
          ))}
        </select>
      </div>
      {problem && <ProblemNote problem={problem} />}
      {data ? (
        <OrderedTable
          label="Connections"
          columns={ALL_COLUMNS}
          sort={sort}
          rows={wanted}
          keyOf={({ peer }) => peer}
          linkOf={({ peer }) => hashOf(["connections", `${peer}`])}
          maxRows={20}
          empty={search || type ? "No connection is like that." : "Nobody is connected."}
        />
      ) : (
        !problem && <Skeleton lines={12} />
      )}
    </Page>
  );
}
