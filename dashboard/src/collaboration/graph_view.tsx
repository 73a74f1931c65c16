/** Picture of a workflow: who feeds whom, the thicker the line the more bytes. */

import { useMemo, useState } from "preact/hooks";
import { bytesPerS, perS } from "../format/numbers.ts";
import { type Graph, type Link, type Node, widthOf } from "./graph.ts";
import { frameOf, Layout, type Place } from "./layout.ts";

const PANEL = "admin_panel";
const RADIUS_PX = 13;
const ARROW_PX = 14;
/** Types of clients by shape as well as by colour. */
const SHAPES: Readonly<Record<string, string>> = {
  agent: "M-12 0a12 12 0 1 0 24 0a12 12 0 1 0-24 0",
  workflow: "M-11-11h22v22h-22z",
  admin_panel: "M0-14 14 0 0 14-14 0z",
  extension: "M0-13 13 10h-26z",
};
const SERIES: Readonly<Record<string, number>> = { agent: 0, workflow: 1, admin_panel: 2, extension: 3 };

export function GraphView({ graph, label }: { readonly graph: Graph; readonly label: string }) {
  const layout = useMemo(() => new Layout(), []);
  const [pointed, setPointed] = useState<string>();
  const places = layout.placesOf(graph);
  const near = neighbours(graph, pointed);
  const panels = new Set(graph.nodes.filter(({ type }) => type === PANEL).map(({ id }) => id));
  const types = [...new Set(graph.nodes.map(({ type }) => type))].sort();
  return (
    <div class="graph">
      <svg viewBox={frameOf(places.values()).join(" ")} role="img" aria-label={label}>
        <defs>
          <marker
            id="arrow"
            viewBox="0 0 8 8"
            refX="0"
            refY="4"
            markerWidth="14"
            markerHeight="14"
            markerUnits="userSpaceOnUse"
            orient="auto"
          >
            <path d="M0 0 8 4 0 8z" class="graph-arrow" />
          </marker>
        </defs>
        {graph.links.map((link) => (
          <Line
            key={link.id}
            link={link}
            places={places}
            isFaint={near !== undefined && link.source !== pointed && link.target !== pointed}
            isWatching={panels.has(link.target)}
          />
        ))}
        {graph.nodes.map((node) => (
          <Client
            key={node.id}
            node={node}
            place={places.get(node.id)}
            isFaint={near !== undefined && !near.has(node.id)}
            onPoint={setPointed}
          />
        ))}
      </svg>
      <ul class="legend">
        {types.map((type) => (
          <li key={type}>
            <svg class="graph-key" viewBox="-15 -15 30 30" aria-hidden="true">
              <path d={SHAPES[type] ?? SHAPES.agent} class={`graph-node series-fill-${SERIES[type] ?? 4}`} />
            </svg>
            {type.replace("_", " ")}
          </li>
        ))}
        <li class="faint">
          The thicker a line, the more bytes a second; dashed: requests{panels.size ? "; pale: panels watch" : ""}.
        </li>
      </ul>
    </div>
  );
}

function neighbours({ links }: Graph, pointed: string | undefined): ReadonlySet<string> | undefined {
  return pointed === undefined
    ? undefined
    : new Set([
        pointed,
        ...links.flatMap(({ source, target }) => (source === pointed ? target : target === pointed ? source : [])),
      ]);
}

interface LineProps {
  readonly link: Link;
  readonly places: ReadonlyMap<string, Place>;
  readonly isFaint: boolean;
  /** Whether it leads to a panel, which watches and does not work with the others. */
  readonly isWatching: boolean;
}

function Line({ link, places, isFaint, isWatching }: LineProps) {
  const [from, to] = [places.get(link.source), places.get(link.target)];
  if (!from || !to) {
    return null;
  }
  const marks = [link.via === "request" && "graph-request", isWatching && "graph-watching", isFaint && "graph-faint"];
  return (
    <path
      d={arcOf(from, to)}
      class={["graph-line", ...marks.filter(Boolean)].join(" ")}
      stroke-width={widthOf(link.bytesPerS)}
      marker-end="url(#arrow)"
    >
      <title>{`${link.source} → ${link.target} by ${link.via}: ${perS(link.messagesPerS)}, ${bytesPerS(link.bytesPerS)}`}</title>
    </path>
  );
}

/** Return a line that bends to its right, so that those of both directions are told apart, and ends before the client. */
function arcOf(from: Place, to: Place): string {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = Math.hypot(dx, dy) || 1;
  const [ux, uy] = [dx / length, dy / length];
  const bend = Math.min(18, length / 6);
  const [mx, my] = [(from.x + to.x) / 2 - uy * bend, (from.y + to.y) / 2 + ux * bend];
  const [sx, sy] = [from.x + ux * RADIUS_PX, from.y + uy * RADIUS_PX];
  const [ex, ey] = [to.x - ux * (RADIUS_PX + ARROW_PX + 2), to.y - uy * (RADIUS_PX + ARROW_PX + 2)];
  return [
    `M${sx.toFixed(1)} ${sy.toFixed(1)}`,
    `Q${mx.toFixed(1)} ${my.toFixed(1)} ${ex.toFixed(1)} ${ey.toFixed(1)}`,
  ].join("");
}

interface ClientProps {
  readonly node: Node;
  readonly place: Place | undefined;
  readonly isFaint: boolean;
  readonly onPoint: (id: string | undefined) => void;
}

function Client({ node: { id, label, type, bytesPerS: traffic }, place, isFaint, onPoint }: ClientProps) {
  if (!place) {
    return null;
  }
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: pointing only makes others faint; the table below tells the same
    <g
      transform={`translate(${place.x.toFixed(1)} ${place.y.toFixed(1)})`}
      class={isFaint ? "graph-faint" : undefined}
      onMouseEnter={() => onPoint(id)}
      onMouseLeave={() => onPoint(undefined)}
    >
      <title>{`${label}, ${type.replace("_", " ")}: ${bytesPerS(traffic)}`}</title>
      <path d={SHAPES[type] ?? SHAPES.agent} class={`graph-node series-fill-${SERIES[type] ?? 4}`} />
      <text class="graph-name" y={30}>
        {label.length > 22 ? `${label.slice(0, 21)}…` : label}
      </text>
    </g>
  );
}
