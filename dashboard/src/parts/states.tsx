/** Places of a page where nothing stands: still loading, empty, or refused. */

import type { ComponentChildren } from "preact";
import { reachable } from "../api/poller.ts";
import type { Problem } from "../api/problem.ts";
import { Icon } from "./icon.tsx";

interface EmptyStateProps {
  readonly title: string;
  /** Why there is nothing, and how to get it. */
  readonly children?: ComponentChildren;
}

export function EmptyState({ title, children }: EmptyStateProps) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** Grey bars in the place of what is being loaded, so that nothing moves when it comes. */
export function Skeleton({ lines = 3 }: { readonly lines?: number }) {
  return (
    <div class="skeleton" role="status" aria-label="Loading">
      {Array.from({ length: lines }, (_, line) => (
        <div key={line} class="skeleton-line" />
      ))}
    </div>
  );
}

/** Problem in words. That the gateway is not reached stands in the banner above, once for all. */
export function ProblemNote({ problem }: { readonly problem: Problem }) {
  if (problem.status === 0 && problem.error === "" && !reachable.value) {
    return null;
  }
  return (
    <p class="note note-bad" role="alert">
      <Icon name="error" />
      <span>
        {problem.error && <strong>{problem.error}: </strong>}
        {problem.message}
      </span>
    </p>
  );
}
