/** Note on the stream that a command goes to: whether someone carries it out. */

import { useEffect, useState } from "preact/hooks";
import { read } from "../api/requests.ts";
import { busiestStreams, type StreamData } from "../api/streams.ts";
import { counted, whole } from "../format/numbers.ts";
import { sentCommands } from "./sent_commands.ts";

/** Time for which the name has to rest before the gateway is asked. */
const REST_MS = 300;
const AGAIN_MS = 2000;
/** Characters of patterns, which are no part of a name. */
const PATTERN = /[*?[\]]/;

export function TargetNote({ stream }: { readonly stream: string }) {
  const [found, setFound] = useState<StreamData | null>();
  const sent = sentCommands.value[0]?.number;
  useEffect(() => {
    setFound(undefined);
    const ending = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const look = async (): Promise<void> => {
      try {
        const { streams } = await read<{ readonly streams: readonly StreamData[] }>(
          busiestStreams(1, stream),
          ending.signal,
        );
        setFound(streams[0] ?? null);
      } catch {
        // No name of a stream, or no gateway: the banner or the answer to the command tells.
      }
      timer = setTimeout(() => void look(), AGAIN_MS);
    };
    if (stream && !PATTERN.test(stream)) {
      timer = setTimeout(() => void look(), REST_MS);
    }
    return () => {
      clearTimeout(timer);
      ending.abort();
    };
  }, [stream, sent]);
  return <>{found === undefined ? "\u00a0" : noteOf(found)}</>;
}

/** Return what becomes of a command to a stream; null: there is no such stream. */
export function noteOf(stream: Pick<StreamData, "kind" | "consumers" | "pending"> | null): string {
  if (!stream) {
    return "There is no such stream yet: it begins with this command, and nobody receives it.";
  }
  if (stream.kind !== "control") {
    return `This is a stream of kind ${stream.kind}, which takes no commands.`;
  }
  if (stream.consumers === 0) {
    return "Nobody receives the commands of this stream now.";
  }
  const waits = stream.pending ? `${whole(stream.pending)} not acknowledged yet` : "all acknowledged";
  return `Its commands go to ${counted(stream.consumers, "client")}: ${waits}.`;
}
