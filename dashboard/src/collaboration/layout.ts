/** Layout of a graph: forces that keep clients apart and those that feed each other together. Places last from poll to poll. */

import {
  forceCollide,
  forceLink,
  forceManyBody,
  forceSimulation,
  forceX,
  forceY,
  type Simulation,
  type SimulationLinkDatum,
  type SimulationNodeDatum,
} from "d3-force";
import type { Graph } from "./graph.ts";

export interface Place {
  readonly x: number;
  readonly y: number;
}

interface Placed extends SimulationNodeDatum {
  readonly id: string;
}

/** Distance between two clients that feed each other. */
const LINK_PX = 130;
/** Room of a client with its name. */
const ROOM_PX = 46;
/** Ticks in which a new graph finds its places, and one to which a client has come. */
const FIRST_TICKS = 240;
const NEXT_TICKS = 80;

export class Layout {
  readonly #simulation: Simulation<Placed, SimulationLinkDatum<Placed>>;
  #shape = "";

  constructor() {
    this.#simulation = forceSimulation<Placed>()
      .force("apart", forceManyBody().strength(-420))
      .force("room", forceCollide(ROOM_PX))
      .force("x", forceX().strength(0.04))
      .force("y", forceY().strength(0.08))
      .stop();
  }

  /** Return the place of each client around the middle. Clients that were there stay about where they were. */
  placesOf({ nodes, links }: Graph): ReadonlyMap<string, Place> {
    const shape = [...nodes.map(({ id }) => id), ...links.map(({ id }) => id)].sort().join("\n\n");
    if (shape !== this.#shape) {
      this.#settle(nodes, links, this.#shape === "");
      this.#shape = shape;
    }
    return new Map(this.#simulation.nodes().map(({ id, x = 0, y = 0 }) => [id, { x, y }]));
  }

  #settle(nodes: Graph["nodes"], links: Graph["links"], isFirst: boolean): void {
    const known = new Map(this.#simulation.nodes().map((placed) => [placed.id, placed]));
    this.#simulation.nodes(nodes.map(({ id }) => known.get(id) ?? { id }));
    const pairs = links.map(({ source, target }) => ({ source, target }));
    this.#simulation.force(
      "links",
      forceLink<Placed, SimulationLinkDatum<Placed>>(pairs)
        .id(({ id }) => id)
        .distance(LINK_PX),
    );
    this.#simulation.alpha(isFirst ? 1 : 0.3).tick(isFirst ? FIRST_TICKS : NEXT_TICKS);
  }
}

/** Smallest picture: a few clients are not drawn larger than many. */
const LEAST_FRAME_PX = [480, 260] as const;

/** Return the rectangle in which all places are, with room for names: left, top, width, height. */
export function frameOf(places: Iterable<Place>): readonly [number, number, number, number] {
  const all = [...places];
  const [left, width] = extentOf(
    all.map(({ x }) => x),
    90,
    LEAST_FRAME_PX[0],
  );
  const [top, height] = extentOf(
    all.map(({ y }) => y),
    45,
    LEAST_FRAME_PX[1],
  );
  return [left, top, width, height];
}

function extentOf(values: readonly number[], room: number, least: number): readonly [start: number, length: number] {
  const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 0];
  const length = Math.max(least, high - low + 2 * room);
  return [(low + high - length) / 2, length];
}
