/** Shell of the page: navigation at the side, the state of the gateway below it, and the present view. */

import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { usePolled } from "../api/poller.ts";
import type { SummaryData } from "../api/summary.ts";
import { Icon } from "../parts/icon.tsx";
import { EmptyState, Skeleton } from "../parts/states.tsx";
import { Banner } from "./banner.tsx";
import { hashOf, type Route, route } from "./router.ts";
import { isDark, nextTheme, startTheme, theme } from "./theme.ts";
import { type ListedView, VIEWS, type View, viewOf } from "./views.ts";

const menuIsOpen = signal(false);

export function Shell() {
  useEffect(startTheme, []);
  const present = route.value;
  const view = viewOf(present);
  useEffect(() => {
    menuIsOpen.value = false;
    document.title = view && view.segment !== "" ? `${view.label} · Frys Gateway` : "Frys Gateway";
  }, [view]);
  return (
    <div class="shell">
      <button type="button" class="skip" onClick={toMain}>
        Skip to the content
      </button>
      <Side current={view} />
      <main id="main" tabIndex={-1}>
        <Banner />
        {view ? <Loaded key={view.segment} view={view} route={present} /> : <Unknown path={present.path} />}
      </main>
    </div>
  );
}

/** Move to the content: a link would change the address, which names the view. */
function toMain(): void {
  document.getElementById("main")?.focus();
}

function Side({ current }: { readonly current: ListedView | undefined }) {
  const summary = usePolled<SummaryData>("/api/v1/summary");
  return (
    <div class="side">
      <div class="side-head">
        <a class="brand" href={hashOf([])}>
          Frys <span>Gateway</span>
        </a>
        <button
          type="button"
          class="button button-quiet menu-button"
          aria-expanded={menuIsOpen.value}
          aria-controls="navigation"
          aria-label="Menu"
          onClick={() => {
            menuIsOpen.value = !menuIsOpen.value;
          }}
        >
          <Icon name={menuIsOpen.value ? "close" : "menu"} />
        </button>
      </div>
      <div id="navigation" class={menuIsOpen.value ? "side-body side-open" : "side-body"}>
        <nav aria-label="Views">
          {VIEWS.map((view) => (
            <a
              key={view.segment}
              href={hashOf(view.segment ? [view.segment] : [])}
              aria-current={view === current ? "page" : undefined}
            >
              <Icon name={view.icon} />
              {view.label}
            </a>
          ))}
        </nav>
        <div class="side-foot">
          <div class="side-gateway">{location.host}</div>
          <div class="side-version">{summary.data ? `Version ${summary.data.version}` : "\u00a0"}</div>
          <ThemeButton />
        </div>
      </div>
    </div>
  );
}

function ThemeButton() {
  const icon = theme.value === "system" ? "system" : isDark.value ? "moon" : "sun";
  return (
    <button type="button" class="button button-quiet" onClick={nextTheme}>
      <Icon name={icon} />
      {theme.value === "system" ? "System theme" : theme.value === "dark" ? "Dark theme" : "Light theme"}
    </button>
  );
}

/** View whose code is loaded first. */
function Loaded({ view, route: present }: { readonly view: ListedView; readonly route: Route }) {
  const [found, setFound] = useState<{ readonly view: View } | { readonly error: string }>();
  useEffect(() => {
    view.load().then(
      (loaded) => setFound({ view: loaded }),
      (error: unknown) => setFound({ error: String(error) }),
    );
  }, [view]);
  if (!found) {
    return <Skeleton lines={8} />;
  }
  if ("error" in found) {
    return (
      <EmptyState title="This view could not be loaded">
        <p>The gateway may have been replaced by another version since the page was opened. Load the page again.</p>
        <p class="faint">{found.error}</p>
        <button type="button" class="button" onClick={() => location.reload()}>
          Load again
        </button>
      </EmptyState>
    );
  }
  const Found = found.view;
  return <Found route={present} />;
}

function Unknown({ path }: { readonly path: readonly string[] }) {
  return (
    <EmptyState title="There is no such view">
      <p>
        Nothing is at <code>{hashOf(path)}</code>. <a href={hashOf([])}>Go to the overview.</a>
      </p>
    </EmptyState>
  );
}
