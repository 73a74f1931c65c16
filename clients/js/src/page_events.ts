/** Events of a page: it becomes visible again, or its network is back. In Node there are none. */

/** Call back whenever it may be worth to look at the connection; returns a function that ends it. */
export function onReturn(callback: () => void): () => void {
  const page = typeof document === "undefined" ? undefined : document;
  const network = typeof globalThis.addEventListener === "function" ? globalThis : undefined;
  const visible = (): void => {
    if (page?.visibilityState === "visible") {
      callback();
    }
  };
  page?.addEventListener("visibilitychange", visible);
  network?.addEventListener("online", callback);
  return () => {
    page?.removeEventListener("visibilitychange", visible);
    network?.removeEventListener("online", callback);
  };
}
