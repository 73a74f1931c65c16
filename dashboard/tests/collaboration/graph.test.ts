import { expect, test } from "vitest";
import type { EdgeData } from "../../src/api/workflows.ts";
import { graphOf, widthOf } from "../../src/collaboration/graph.ts";
import { frameOf, Layout } from "../../src/collaboration/layout.ts";

function edge(source: string, target: string, bytes_per_s: number, via = "stream"): EdgeData {
  return { source, target, via, messages_per_s: 1, bytes_per_s };
}

test("each client is a node, and each way of traffic a line", () => {
  const { nodes, links } = graphOf(
    [edge("a", "b", 10), edge("b", "a", 5, "request")],
    (client) => ({ a: "agent" })[client],
  );
  expect(nodes.map(({ id, type, bytesPerS }) => [id, type, bytesPerS])).toEqual([
    ["a", "agent", 15],
    ["b", "gone", 15],
  ]);
  expect(links.map(({ source, target, via }) => [source, target, via])).toEqual([
    ["a", "b", "stream"],
    ["b", "a", "request"],
  ]);
});

test("of very many clients those with least traffic are one for each type", () => {
  const edges = Array.from({ length: 1000 }, (_, number) => edge("hub", `client-${number}`, 1000 - number));
  const { nodes, links } = graphOf(edges, (client) => (client.endsWith("7") ? "workflow" : "agent"), 20);
  expect(nodes.length).toBe(18);
  expect(nodes.reduce((sum, { clients }) => sum + clients, 0)).toBe(1001);
  const rest = nodes.filter(({ clients }) => clients > 1).map(({ label }) => label);
  expect(rest.toSorted()).toEqual(["99 more of type workflow", "886 more of type agent"].toSorted());
  expect(links.reduce((sum, { bytesPerS }) => sum + bytesPerS, 0)).toBe(500_500);
});

test("lines grow with the traffic, within bounds", () => {
  const widths = [0, 1, 1e3, 1e6, 1e8, 1e12].map(widthOf);
  expect(widths).toEqual(widths.toSorted((a, b) => a - b));
  expect([widths[0], widths.at(-1)]).toEqual([1, 9]);
});

test("places last from poll to poll, and clients do not lie on each other", () => {
  const layout = new Layout();
  const edges = Array.from({ length: 30 }, (_, number) => edge(`a${number % 6}`, `b${number}`, 10));
  const first = layout.placesOf(graphOf(edges, () => "agent"));
  const again = layout.placesOf(
    graphOf(
      edges.map((each) => ({ ...each, bytes_per_s: 99 })),
      () => "agent",
    ),
  );
  expect(again).toEqual(first);
  const places = [...first.values()];
  for (const [index, { x, y }] of places.entries()) {
    for (const other of places.slice(index + 1)) {
      expect(Math.hypot(x - other.x, y - other.y)).toBeGreaterThan(40);
    }
  }
  const [left, top, width, height] = frameOf(places);
  for (const { x, y } of places) {
    expect(x > left && x < left + width && y > top && y < top + height).toBe(true);
  }
});

test("a client that comes moves the others little", () => {
  const layout = new Layout();
  const edges = [edge("a", "b", 1), edge("b", "c", 1)];
  const before = layout.placesOf(graphOf(edges, () => "agent"));
  const after = layout.placesOf(graphOf([...edges, edge("c", "d", 1)], () => "agent"));
  for (const [id, { x, y }] of before) {
    const moved = after.get(id) ?? { x: Number.POSITIVE_INFINITY, y: 0 };
    expect(Math.hypot(moved.x - x, moved.y - y)).toBeLessThan(120);
  }
  expect(frameOf([])).toEqual([-240, -130, 480, 260]);
});
