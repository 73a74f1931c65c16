/** Entry of the viewer's worker. */

import type { FromWorker, ToWorker } from "../posts.ts";
import { Viewing } from "./viewing.ts";

const viewing = new Viewing((post: FromWorker) => {
  // Files are large, and given away.
  self.postMessage(post, { transfer: post.kind === "file" ? post.parts.map(({ buffer }) => buffer) : [] });
});

self.addEventListener("message", ({ data }: MessageEvent<ToWorker>) => viewing.handle(data));
