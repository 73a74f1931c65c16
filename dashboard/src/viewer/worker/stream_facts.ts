/** Facts of a stream, as the gateway's list has them: its kind, its offsets, and of a state the whole shape. */

import { authorization } from "../../api/token.ts";
import type { StreamFacts, TensorFacts } from "../posts.ts";

const PERIOD_MS = 2000;
/** Time to the next look while there is no stream. */
const ABSENT_MS = 700;

interface Listed extends StreamFacts {
  readonly name: string;
}

/** Return the facts of a stream; undefined: there is none. */
export async function readFacts(
  origin: string,
  stream: string,
  token: string | null,
  signal: AbortSignal,
): Promise<StreamFacts | undefined> {
  const query = new URLSearchParams({ pattern: stream, limit: "1" });
  const answer = await fetch(`${origin}/api/v1/streams?${query}`, { signal, headers: authorization(token) });
  if (!answer.ok) {
    throw new Error(`the gateway answered ${answer.status} ${answer.statusText}`);
  }
  const { streams } = (await answer.json()) as { readonly streams: readonly Listed[] };
  return streams.find(({ name }) => name === stream);
}

/** Read the facts again and again, until the signal; a gateway that cannot be reached has none to tell. */
export async function watchFacts(
  origin: string,
  stream: string,
  token: string | null,
  signal: AbortSignal,
  onFacts: (facts: StreamFacts | undefined) => void,
): Promise<void> {
  while (!signal.aborted) {
    let found: StreamFacts | undefined;
    try {
      found = await readFacts(origin, stream, token, signal);
      onFacts(found);
    } catch {
      // The client's connection tells of a gateway that is gone.
    }
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, found ? PERIOD_MS : ABSENT_MS);
      signal.addEventListener(
        "abort",
        () => {
          clearTimeout(timer);
          resolve(undefined);
        },
        { once: true },
      );
    });
  }
}

/** Return the tensor of a name, or the first one. */
export function tensorIn(tensors: readonly TensorFacts[], name: string | undefined): TensorFacts | undefined {
  return tensors.find((tensor) => tensor.name === name) ?? tensors[0];
}
