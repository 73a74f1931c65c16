/** Graph of a workflow as it is drawn: clients, and the traffic between them. */

import type { EdgeData } from "../api/workflows.ts";

export interface Node {
  /** Id of the client; of several drawn as one, their type. */
  readonly id: string;
  readonly label: string;
  readonly type: string;
  /** Clients that it stands for. */
  readonly clients: number;
  readonly bytesPerS: number;
}

export interface Link {
  readonly id: string;
  readonly source: string;
  readonly target: string;
  readonly via: string;
  readonly messagesPerS: number;
  readonly bytesPerS: number;
}

export interface Graph {
  readonly nodes: readonly Node[];
  readonly links: readonly Link[];
}

/** Clients that are drawn by themselves: the picture of more tells nothing. */
export const MOST_NODES = 300;
/** Type of clients that have gone. */
const UNKNOWN_TYPE = "gone";

/**
 * Return the graph of some edges. Of very many clients those with least traffic are drawn as one for each type.
 *
 * @param typeOf type of a client; undefined: it is not known.
 */
export function graphOf(
  edges: readonly EdgeData[],
  typeOf: (clientId: string) => string | undefined,
  most = MOST_NODES,
): Graph {
  const traffic = new Map<string, number>();
  for (const { source, target, bytes_per_s } of edges) {
    for (const client of [source, target]) {
      traffic.set(client, (traffic.get(client) ?? 0) + bytes_per_s);
    }
  }
  const heaviest = [...traffic].sort(([, one], [, other]) => other - one);
  const alone = new Set(heaviest.slice(0, heaviest.length > most ? most - 4 : most).map(([client]) => client));
  const idOf = (client: string): string => (alone.has(client) ? client : `${typeOf(client) ?? UNKNOWN_TYPE} `);
  return { nodes: nodesOf(traffic, alone, typeOf, idOf), links: linksOf(edges, idOf) };
}

function nodesOf(
  traffic: ReadonlyMap<string, number>,
  alone: ReadonlySet<string>,
  typeOf: (clientId: string) => string | undefined,
  idOf: (client: string) => string,
): Node[] {
  const nodes = new Map<string, Node>();
  for (const [client, bytesPerS] of traffic) {
    const [id, type] = [idOf(client), typeOf(client) ?? UNKNOWN_TYPE];
    const clients = (nodes.get(id)?.clients ?? 0) + 1;
    nodes.set(id, {
      id,
      label: alone.has(client) ? client : `${clients} more of type ${type.replace("_", " ")}`,
      type,
      clients,
      bytesPerS: (nodes.get(id)?.bytesPerS ?? 0) + bytesPerS,
    });
  }
  return [...nodes.values()];
}

function linksOf(edges: readonly EdgeData[], idOf: (client: string) => string): Link[] {
  const links = new Map<string, Link>();
  for (const { source, target, via, messages_per_s, bytes_per_s } of edges) {
    const [from, to] = [idOf(source), idOf(target)];
    if (from !== to) {
      const id = `${from}\n${to}\n${via}`;
      const before = links.get(id);
      links.set(id, {
        id,
        source: from,
        target: to,
        via,
        messagesPerS: (before?.messagesPerS ?? 0) + messages_per_s,
        bytesPerS: (before?.bytesPerS ?? 0) + bytes_per_s,
      });
    }
  }
  return [...links.values()];
}

const LEAST_PX = 1;
const MOST_PX = 9;

/** Return the width of a line: from 1 B/s to 100 MB/s each tenfold traffic adds the same. */
export function widthOf(bytesPerS: number): number {
  const share = Math.log10(Math.max(1, bytesPerS)) / 8;
  return LEAST_PX + (MOST_PX - LEAST_PX) * Math.min(1, share);
}
