/** Page of one stream. */

import { useState } from "preact/hooks";
import { usePolled } from "../api/poller.ts";
import { command } from "../api/requests.ts";
import { busiestStreams, receiversOf, type StreamData, shapeText } from "../api/streams.ts";
import { go, hashOf } from "../app/router.ts";
import { bytes, bytesPerS, perS, whole } from "../format/numbers.ts";
import { Confirm } from "../parts/dialog.tsx";
import { Badge, Figure } from "../parts/figure.tsx";
import { FileLink } from "../parts/file_link.tsx";
import { Page } from "../parts/page.tsx";
import { EmptyState, ProblemNote, Skeleton } from "../parts/states.tsx";
import { Viewer } from "../viewer/viewer.tsx";
import { Upload } from "./upload.tsx";

export function StreamPage({ name }: { readonly name: string }) {
  const { data, problem } = usePolled<{ readonly streams: readonly StreamData[] }>(busiestStreams(1, name), 1000);
  const stream = data?.streams[0];
  if (!data) {
    return <Page title={name}>{problem ? <ProblemNote problem={problem} /> : <Skeleton lines={8} />}</Page>;
  }
  return stream ? <Found stream={stream} /> : <Gone name={name} />;
}

function Found({ stream }: { readonly stream: StreamData }) {
  const [deleting, setDeleting] = useState(false);
  const { name, kind, durability, newest, first_offset, next_offset, consumers, pending } = stream;
  const path = `/api/v1/streams/${name}`;
  return (
    <Page
      title={name}
      summary={
        <>
          <a href={hashOf(["streams"])}>Streams</a> · <Badge>{kind}</Badge> <Badge>{durability}</Badge>{" "}
          {newest?.map((tensor) => (
            <span key={tensor.name} class="mono">
              {tensor.name && `${tensor.name}: `}
              {shapeText(tensor)}{" "}
            </span>
          ))}
        </>
      }
      actions={
        <>
          {newest?.length === 1 && (
            <FileLink path={path} name={`${name.replaceAll("/", "-")}.npy`}>
              Download .npy
            </FileLink>
          )}
          <Upload path={path} />
          <button type="button" class="button" onClick={() => setDeleting(true)}>
            Delete…
          </button>
        </>
      }
    >
      <div class="figures">
        <Figure label="Messages" value={perS(stream.messages_per_s)} note={`offset ${whole(next_offset - 1)}`} />
        <Figure label="Bytes" value={bytesPerS(stream.bytes_per_s)} note={`${bytes(stream.published_bytes)} in all`} />
        <Figure
          label="Receivers"
          value={whole(receiversOf(stream))}
          note={
            consumers
              ? `${whole(consumers)} consumers, ${whole(pending)} not acknowledged`
              : `${stream.viewers} by views`
          }
        />
        <Figure
          label="History"
          value={whole(next_offset - first_offset)}
          note={kind === "state" && first_offset === next_offset ? "the newest is kept" : "messages can be read again"}
        />
      </div>
      <Viewer stream={name} />
      {deleting && (
        <Confirm
          title={`Delete ${name}?`}
          action="Delete the stream"
          onConfirm={async () => {
            await command("DELETE", path);
            go(["streams"]);
          }}
          onClose={() => setDeleting(false)}
        >
          <p>
            Its {whole(next_offset - first_offset)} messages are given up, also in the store. Its{" "}
            {whole(receiversOf(stream))} receivers are told; the next publish to the name begins a new stream.
          </p>
        </Confirm>
      )}
    </Page>
  );
}

function Gone({ name }: { readonly name: string }) {
  return (
    <Page title={name}>
      <EmptyState title="There is no such stream">
        <p>
          It has ended, or nothing was published to it yet. <a href={hashOf(["streams"])}>Go to all streams.</a>
        </p>
      </EmptyState>
    </Page>
  );
}
