/** Streams: a list of all, and a page for each. */

import { usePolled } from "../api/poller.ts";
import { busiestStreams, MOST_STREAMS, type StreamData } from "../api/streams.ts";
import { OrderedTable } from "../app/ordered_table.tsx";
import { hashOf, type Route, setQuery } from "../app/router.ts";
import { whole } from "../format/numbers.ts";
import { Page } from "../parts/page.tsx";
import { SearchField } from "../parts/search_field.tsx";
import { EmptyState, ProblemNote, Skeleton } from "../parts/states.tsx";

import { ALL_COLUMNS } from "./columns.tsx";
import { found, patternOf } from "./search.ts";
import { StreamPage } from "./stream_page.tsx";

const USUAL_ORDER = "-bytes";

export function Streams({ route }: { readonly route: Route }) {
  const name = route.path.slice(1).join("/");
  return name ? <StreamPage key={name} name={name} /> : <StreamList route={route} />;
}

function StreamList({ route: { query } }: { readonly route: Route }) {
  const { search = "", sort = USUAL_ORDER } = query;
  const { data, problem } = usePolled<{ readonly streams: readonly StreamData[] }>(
    busiestStreams(MOST_STREAMS, patternOf(search)),
  );
  const rows = found(data?.streams ?? [], search);
  const isCut = data?.streams.length === MOST_STREAMS;
  return (
    <Page
      title="Streams"
      summary={isCut ? `The ${whole(MOST_STREAMS)} busiest; a pattern such as train/** finds others.` : undefined}
    >
      <div class="toolbar">
        <SearchField
          label="Search streams"
          placeholder="Part of a name, or a pattern: train/**"
          value={search}
          onInput={(text) => setQuery({ search: text })}
        />
      </div>
      {problem && <ProblemNote problem={problem} />}
      {data ? (
        <OrderedTable
          label="Streams"
          columns={ALL_COLUMNS}
          sort={sort}
          rows={rows}
          keyOf={({ id }) => id}
          linkOf={({ name }) => hashOf(["streams", ...name.split("/")])}
          maxRows={20}
          empty={search ? `No stream matches ${search}.` : <NoStream />}
        />
      ) : (
        !problem && <Skeleton lines={12} />
      )}
    </Page>
  );
}

function NoStream() {
  return (
    <EmptyState title="There is no stream yet">
      <p>
        A stream begins with the first message that is published to it. <a href={hashOf([])}>The overview shows how.</a>
      </p>
    </EmptyState>
  );
}
