/** WebSockets of the platform: the global one of browsers and Node 22, otherwise that of the package `ws`. */

import { UsageError } from "../errors.ts";

/** Part of a `WebSocket` that the client uses. */
export interface WebSocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  /** 3 once it is closed. */
  readonly readyState?: number;
  onopen: (() => void) | null;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null;
  onerror: ((event: { readonly message?: string }) => void) | null;
  send(data: Uint8Array): void;
  close(code?: number, reason?: string): void;
  /** Cut the connection off; `ws` only. */
  terminate?(): void;
  /** Listen to the answer that refuses the handshake; `ws` only. */
  on?(event: "unexpected-response", listener: (request: RefusedRequest, response: RefusedHandshake) => void): void;
}

/** Request of a handshake that was refused. */
export interface RefusedRequest {
  destroy(): void;
}

/** Answer by HTTP that refuses a handshake. */
export interface RefusedHandshake {
  readonly statusCode?: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** Constructor of a `WebSocket`. */
export type WebSocketType = new (url: string, protocols: string, options?: object) => WebSocketLike;

// A bundler for browsers is not to look for the package.
const PACKAGE = "ws";

/**
 * Return the WebSocket to use; in Node `ws` is taken where it is installed, since it can read refused handshakes.
 *
 * @throws UsageError there is none.
 */
export async function webSocketType(): Promise<WebSocketType> {
  const found = (globalThis as { WebSocket?: WebSocketType }).WebSocket;
  if (typeof (globalThis as { process?: { versions?: { node?: string } } }).process?.versions?.node === "string") {
    try {
      const loaded = (await import(/* @vite-ignore */ PACKAGE)) as { WebSocket: WebSocketType };
      return loaded.WebSocket;
    } catch {
      // Not installed: the global one serves, if there is one.
    }
  }
  if (!found) {
    throw new UsageError("this platform has no WebSocket: install the package ws (npm install ws), or use Node 22");
  }
  return found;
}

/** Return the seconds after which a refused client is to return, as the answer names them. */
export function retryAfterS({ headers }: RefusedHandshake): number | undefined {
  const ms = Number(headers["retry-after-ms"] ?? Number.NaN);
  const seconds = Number(headers["retry-after"] ?? Number.NaN);
  const found = Number.isFinite(ms) ? ms / 1000 : seconds;
  return Number.isFinite(found) && found >= 0 ? found : undefined;
}
