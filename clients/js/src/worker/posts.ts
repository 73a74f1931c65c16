/** Messages between a page and the worker that holds its sockets. Both ends are of one build. */

import type { Inbound, WireClosed } from "../session/wire.ts";

/** Order from the page. `wire` is the number of a connection, which the page has chosen. */
export type Order =
  /** First order: limits of the decoder. */
  | { readonly order: "begin"; readonly maxMessageBytes: number | undefined }
  | { readonly order: "connect"; readonly wire: number; readonly url: string }
  | { readonly order: "send"; readonly wire: number; readonly message: Uint8Array<ArrayBuffer> }
  /** Tell, by `drained`, when what was sent so far has left, but for little. */
  | { readonly order: "drain"; readonly wire: number }
  | { readonly order: "close" | "abort"; readonly wire: number; readonly code: number; readonly reason: string }
  | { readonly order: "forget"; readonly streams: readonly string[] };

/** Event from the worker. */
export type Report =
  | { readonly report: "opened" | "drained"; readonly wire: number }
  | { readonly report: "received"; readonly wire: number; readonly items: readonly Inbound[] }
  | { readonly report: "closed"; readonly wire: number; readonly closed: WireClosed };
