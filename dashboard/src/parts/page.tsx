/** Frame of a view: its title, a line about it, and what can be done with all of it. */

import type { ComponentChildren } from "preact";

interface PageProps {
  readonly title: string;
  readonly summary?: ComponentChildren;
  readonly actions?: ComponentChildren;
  readonly children?: ComponentChildren;
}

export function Page({ title, summary, actions, children }: PageProps) {
  return (
    <>
      <header class="page-head">
        <div>
          <h1>{title}</h1>
          {summary && <p class="page-summary">{summary}</p>}
        </div>
        {actions && <div class="page-actions">{actions}</div>}
      </header>
      {children}
    </>
  );
}

/** Part of a view with a title of its own. */
export function Section({ title, summary, children }: Omit<PageProps, "actions">) {
  return (
    <section class="section">
      <h2>{title}</h2>
      {summary && <p class="page-summary">{summary}</p>}
      {children}
    </section>
  );
}
