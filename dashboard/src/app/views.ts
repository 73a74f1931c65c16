/** Registry of the views: what the navigation lists, and the code that each loads when it is first opened. */

import type { ComponentType } from "preact";
import type { IconName } from "../parts/icon.tsx";
import type { Route } from "./router.ts";

export type View = ComponentType<{ readonly route: Route }>;

export interface ListedView {
  /** First segment of its address; empty: that of the page itself. */
  readonly segment: string;
  readonly label: string;
  readonly icon: IconName;
  readonly load: () => Promise<View>;
}

export const VIEWS: readonly ListedView[] = [
  {
    segment: "",
    label: "Overview",
    icon: "overview",
    load: async () => (await import("../overview/overview.tsx")).Overview,
  },
  {
    segment: "streams",
    label: "Streams",
    icon: "streams",
    load: async () => (await import("../streams/streams.tsx")).Streams,
  },
  {
    segment: "connections",
    label: "Connections",
    icon: "connections",
    load: async () => (await import("../connections/connections.tsx")).Connections,
  },
  {
    segment: "collaboration",
    label: "Collaboration",
    icon: "collaboration",
    load: async () => (await import("../collaboration/collaboration.tsx")).Collaboration,
  },
  {
    segment: "optimizer",
    label: "Optimizer",
    icon: "optimizer",
    load: async () => (await import("../optimizer/optimizer.tsx")).Optimizer,
  },
  {
    segment: "tasks",
    label: "Tasks",
    icon: "tasks",
    load: async () => (await import("../tasks/tasks.tsx")).Tasks,
  },
  {
    segment: "control",
    label: "Control",
    icon: "control",
    load: async () => (await import("../control/control.tsx")).Control,
  },
];

/** Return the view of a route; undefined: there is none. */
export function viewOf(route: Route): ListedView | undefined {
  return VIEWS.find(({ segment }) => segment === (route.path[0] ?? ""));
}
