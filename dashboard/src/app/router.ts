/**
 * Router: the address of the page as a value. What one sees is in the part behind `#`, so that every view can be shared, and the
 * gateway serves one file for all.
 */

import { signal } from "@preact/signals";

/** Address of a view. */
export interface Route {
  /** Segments behind `#/`; none: the overview. */
  readonly path: readonly string[];
  readonly query: Readonly<Record<string, string>>;
}

/** Return the route of a hash such as `#/streams/wf/a?view=heat`. */
export function routeOf(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s, 2);
  const segments = path.split("/").filter((segment) => segment !== "");
  return { path: segments.map(decoded), query: Object.fromEntries(new URLSearchParams(query)) };
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment; // typed by hand
  }
}

/** Return the hash of a route; parameters without text are left out. */
export function hashOf(path: readonly string[], query: Readonly<Record<string, string | undefined>> = {}): string {
  const fields = Object.entries(query).filter((field): field is [string, string] => Boolean(field[1]));
  const text = new URLSearchParams(fields).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text && `?${text}`}`;
}

/** The present address. */
export const route = signal<Route>(routeOf(typeof location === "undefined" ? "" : location.hash));

if (typeof addEventListener === "function") {
  addEventListener("hashchange", () => {
    route.value = routeOf(location.hash);
  });
}

/** Go to another view; the browser's history gets an entry. */
export function go(path: readonly string[], query: Readonly<Record<string, string | undefined>> = {}): void {
  location.hash = hashOf(path, query);
}

/** Change parameters of the present view in place: undefined takes one away, and the history gets no entry. */
export function setQuery(changes: Readonly<Record<string, string | undefined>>): void {
  const { path, query } = route.value;
  const hash = hashOf(path, { ...query, ...changes });
  history.replaceState(null, "", hash);
  route.value = routeOf(hash);
}
