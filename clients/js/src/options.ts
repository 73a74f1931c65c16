/** Options of a client and of its calls, with their defaults (`spec/client.md`, section 9). */

import type { Message } from "./messages/message.ts";
import type { ClientType, Notice, Position } from "./protocol/messages.ts";
import type { OnError } from "./report.ts";
import type { Backoff } from "./session/backoff.ts";
import type { Clock } from "./session/clock.ts";
import type { ClientState, TokenSource } from "./session/connection.ts";
import type { Wires } from "./session/wire.ts";
import type { Gap, StreamEnded } from "./subscribing/subscription_position.ts";

/** Options of `connect`. Times are in milliseconds. */
export interface ClientOptions {
  /** Type of the client; `agent` if absent. A dashboard is an `admin_panel`. */
  readonly clientType?: ClientType;
  /** Name of the client; absent: the gateway chooses one, and the client observes. */
  readonly clientId?: string;
  /** Token, or a function that gives one before every attempt. */
  readonly token?: TokenSource;
  /** Bounds on the pauses between attempts; null: never reconnect. */
  readonly backoff?: Partial<Backoff> | null;
  /** Time of one attempt, up to WELCOME: 10 s if absent. */
  readonly connectTimeoutMs?: number;
  /** Time in which `close` sends what waits, and again for the close handshake: 5 s if absent. */
  readonly closeTimeoutMs?: number;
  /** Time without progress after which calls fail: 30 s if absent. */
  readonly timeoutMs?: number;
  /** Bytes of `publishNowait` that may wait: 64 MiB if absent. */
  readonly maxPendingBytes?: number;
  /** Size of the largest message to receive: 1 GiB if absent. */
  readonly maxMessageBytes?: number;
  /** Called with errors that no call can throw; absent: they are logged, at most one a second. */
  readonly onError?: OnError;
  /** Called with the fate of messages that this client has published, and with changes of its views; absent: as `onError`. */
  readonly onNotice?: (notice: Notice) => void;
  readonly onState?: (state: ClientState) => void;
  /** Software and version, for the gateway's logs. */
  readonly agent?: string;
  /**
   * Whether the socket and the decoder are in a Web Worker; absent: in a page they are, elsewhere not. False is for pages whose
   * policy forbids workers.
   */
  readonly worker?: boolean;
  /** Far side of the client, in place of both. */
  readonly wires?: Wires;
  /** Sources of time and chance, for tests. */
  readonly clock?: Clock;
}

/** Start of a subscription: all that is kept, an offset, or positions; those of one stream without its name. */
export type Start = "beginning" | bigint | number | Position | Readonly<Record<string, Position>>;

/** Part of each message, or a coarser form of it (spec section 4.5). */
export interface View {
  /** Index of each dimension, or `[start, stop, step]` with null for an open bound; `"..."` for all that remain. */
  readonly slice?: readonly (number | readonly (number | null)[] | "...")[];
  readonly dtype?: string;
  /** Highest rate, of states only. */
  readonly maxRateHz?: number;
  /** Name of the only wanted tensor. */
  readonly tensor?: string;
}

/** Options of `subscribe`. */
export interface SubscribeOptions {
  readonly since?: Start;
  readonly view?: View;
  /** View that may come while the connection cannot take `view`. */
  readonly lower?: View;
  /** Messages and bytes that may be under way or wait for the program. */
  readonly credits?: { readonly messages: number; readonly bytes: number | bigint };
  /** Whether messages of acknowledged streams are taken without answers. */
  readonly observe?: boolean;
  /** Whether a message counts as processed when the next one is asked for: true if absent. */
  readonly autoAck?: boolean;
  /** Whether a version of a state takes the place of one that still waits: true if absent. */
  readonly conflate?: boolean;
  /** Called with each message; the next one follows when the promise that it returns is done. */
  readonly onMessage?: (message: Message) => unknown;
  /** Whether `onMessage` gets the newest message of each stream once an animation frame, and none between. */
  readonly latest?: boolean;
  readonly onGap?: (gap: Gap) => void;
  readonly onEnded?: (ended: StreamEnded) => void;
  /** Called with errors of this subscription; absent: those of the client's `onError`. */
  readonly onError?: OnError;
  readonly signal?: AbortSignal;
}
