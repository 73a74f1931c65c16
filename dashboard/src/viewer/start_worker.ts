/** Start of the viewer's worker; the build gives it a file of its own, and puts the address of that in place of this one. */

export function startWorker(): Worker {
  return new Worker(new URL("./worker/viewer_worker.ts", import.meta.url), { type: "module", name: "viewer" });
}
