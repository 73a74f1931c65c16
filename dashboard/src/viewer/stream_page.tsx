/** Page of one stream: `#/streams/NAME`. */

import { usePolled } from "../api/poller.ts";
import { hashOf, type Route } from "../app/router.ts";
import { Page } from "../parts/page.tsx";
import { EmptyState } from "../parts/states.tsx";
import { Viewer } from "./viewer.tsx";

const BUSIEST = "/api/v1/streams?sort=messages_per_s&limit=100";

export function StreamPage({ route }: { readonly route: Route }) {
  const stream = route.path.slice(1).join("/");
  return stream ? (
    <Page title={stream}>
      <Viewer stream={stream} />
    </Page>
  ) : (
    <Busiest />
  );
}

function Busiest() {
  const { data } = usePolled<{ readonly streams: readonly { readonly name: string; readonly kind: string }[] }>(
    BUSIEST,
  );
  return (
    <Page title="Streams" summary="The busiest streams: choose one to see what is in it.">
      {data?.streams.length === 0 ? <EmptyState title="There are no streams yet" /> : null}
      <ul>
        {data?.streams.map(({ name, kind }) => (
          <li key={name}>
            <a href={hashOf(["streams", ...name.split("/")])}>{name}</a> <span class="faint">{kind}</span>
          </li>
        ))}
      </ul>
    </Page>
  );
}
