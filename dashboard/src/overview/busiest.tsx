/** Streams that carry most, and connections whose links are worst: where an operator looks next. */

import { type ConnectionData, firstConnections } from "../api/connections.ts";
import { usePolled } from "../api/poller.ts";
import { busiestStreams, type StreamData } from "../api/streams.ts";
import { hashOf } from "../app/router.ts";
import { FEW_COLUMNS as LINK_COLUMNS } from "../connections/columns.tsx";
import { Section } from "../parts/page.tsx";
import { Table } from "../parts/table.tsx";
import { FEW_COLUMNS as STREAM_COLUMNS } from "../streams/columns.tsx";

const SHOWN = 8;

export function BusiestStreams() {
  const { data } = usePolled<{ readonly streams: readonly StreamData[] }>(busiestStreams(SHOWN));
  return (
    <Section title="Busiest streams">
      <Table
        label="Busiest streams"
        columns={STREAM_COLUMNS}
        rows={data?.streams ?? []}
        keyOf={({ id }) => id}
        linkOf={({ name }) => hashOf(["streams", ...name.split("/")])}
        maxRows={SHOWN}
        empty="No stream has carried anything."
      />
    </Section>
  );
}

export function WorstLinks() {
  const { data } = usePolled<{ readonly connections: readonly ConnectionData[] }>(firstConnections("score", SHOWN));
  return (
    <Section title="Worst links">
      <Table
        label="Worst links"
        columns={LINK_COLUMNS}
        rows={data?.connections ?? []}
        keyOf={({ peer }) => peer}
        linkOf={({ peer }) => hashOf(["connections", `${peer}`])}
        maxRows={SHOWN}
        empty="Nobody is connected."
      />
    </Section>
  );
}
