/** Start of the worker, from a file beside this one. */

/** The part of a `Worker` that a page uses. */
export interface WorkerLike {
  onmessage: ((event: MessageEvent) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
  onmessageerror: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown, transfer: Transferable[]): void;
  terminate(): void;
}

// In a variable: bundlers follow the address in the call below, and are not to take this one for another file.
const FILE = "./frys_worker.js";

/** Address of the program that imports the file: one for all workers, since it is kept for as long as the page lives. */
let importer: string | undefined;

/**
 * Start the worker.
 *
 * A page may start workers of its own origin only. If the client comes from another one, such as that of the gateway, a
 * worker of the page's origin imports the file.
 */
export function startWorker(): WorkerLike {
  const file = new URL(FILE, import.meta.url);
  if (file.origin !== location.origin) {
    importer ??= URL.createObjectURL(new Blob([`import ${JSON.stringify(file.href)};`], { type: "text/javascript" }));
    return new Worker(importer, { type: "module", name: "frys" });
  }
  return new Worker(new URL("./frys_worker.js", import.meta.url), { type: "module", name: "frys" });
}
