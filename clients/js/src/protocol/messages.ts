/**
 * Messages with JSON bodies (spec sections 3, 4, 7, 12 and 16), as TypeScript sees them.
 *
 * Field names are those of the JSON. Each message has the `opcode` of its frame, by which TypeScript tells them apart. An
 * absent field is `undefined`. Integers that may exceed 2^53 (offsets, sequences, correlations, counts of messages and
 * bytes, times in ns) are `bigint`; epochs and all other integers stay below 2^53 by the specification, and are `number`.
 */

import type { Durability } from "./durability.ts";
import type { JsonObject } from "./exact_json.ts";
import type { WelcomeLimits } from "./limits.ts";
import type { PresenceMessage } from "./presence.ts";
import type { Opcode } from "./wire.ts";

/** Types of a client (spec section 3.1). */
export const CLIENT_TYPES = ["admin_panel", "workflow", "agent", "extension"] as const;
export type ClientType = (typeof CLIENT_TYPES)[number];

/** Delivery contracts of a stream (spec section 4). */
export const KINDS = ["state", "event", "collaboration", "control"] as const;
export type Kind = (typeof KINDS)[number];

/** `since` of a SUBSCRIBE that wants all messages in history (spec section 4.3). */
export const BEGINNING = "beginning";

/** Position of a receiver in a stream: epoch and next offset. */
export type Position = readonly [epoch: number, offset: bigint];

/** Positions by name of the stream. */
export type Positions = Readonly<Record<string, Position>>;

/** Start of a subscription: {@link BEGINNING}, an offset, or positions. */
export type Since = typeof BEGINNING | bigint | Positions;

/** First frame of the client (spec section 3.1). */
export interface Hello {
  readonly opcode: typeof Opcode.HELLO;
  readonly versions: readonly number[];
  readonly client_type: ClientType;
  readonly client_id?: string | undefined;
  readonly token: string | null;
  readonly agent: string;
  readonly codecs: readonly string[];
  readonly filters: readonly string[];
  readonly max_message_bytes?: bigint | undefined;
  /** Number that the program has drawn at random: the same after a reconnect, another after a restart. */
  readonly instance?: number | undefined;
  /** Generation that an earlier WELCOME has told; absent: the client has not been connected before. */
  readonly generation?: number | undefined;
  /** Whether the client grants credit for streams of all kinds (spec section 7.5). */
  readonly credits?: boolean | undefined;
  /** Whether the client cuts the large messages of a stream by the size that NOTICE advises (spec section 7.6). */
  readonly chunk_advice?: boolean | undefined;
}

/** Answer of the server to HELLO (spec section 3.1). */
export interface Welcome {
  readonly opcode: typeof Opcode.WELCOME;
  readonly version: number;
  readonly client_id: string;
  readonly session: string;
  readonly peer: number;
  readonly codecs: readonly string[];
  readonly filters: readonly string[];
  readonly limits: WelcomeLimits;
  readonly heartbeat_interval_s: number;
  readonly time_ns: bigint;
  readonly agent: string;
  readonly generation?: number | undefined;
  readonly credits?: boolean | undefined;
}

/** Request to replace the token of a running session (spec section 3.2). */
export interface Authenticate {
  readonly opcode: typeof Opcode.AUTHENTICATE;
  readonly request: number;
  readonly token: string;
}

/** Acceptance of the new token (spec section 3.2). */
export interface Authenticated {
  readonly opcode: typeof Opcode.AUTHENTICATED;
  readonly request: number;
  /** Seconds for which the token is good; null: it does not expire. */
  readonly expires_s: number | null;
}

/** Declaration of the alias of a stream or address (spec section 4.1). */
export interface Open {
  readonly opcode: typeof Opcode.OPEN;
  readonly alias: number;
  readonly stream: string;
  readonly kind?: Kind | undefined;
  readonly durability?: Durability | undefined;
  readonly schema?: JsonObject | undefined;
  /** Producer that counts the sequences, over all its connections. */
  readonly producer?: number | undefined;
  /** Sequence of the next message; absent: 1. */
  readonly sequence?: bigint | undefined;
}

/** STREAM: id and properties of a stream (spec section 4.1). An address has name and alias only. */
export interface StreamInfo {
  readonly opcode: typeof Opcode.STREAM;
  readonly id: number | null;
  readonly stream: string;
  readonly kind?: Kind | undefined;
  readonly epoch?: number | undefined;
  readonly offset?: bigint | undefined;
  readonly alias?: number | undefined;
  readonly durability?: Durability | undefined;
  readonly schema?: JsonObject | undefined;
  /** Subscription that asked for the view, or observes the stream, by this `id`; absent: patterns decide. */
  readonly subscription?: number | undefined;
  /** First offset that the subscriber will get. */
  readonly since?: bigint | undefined;
  /** True if a subscriber that named a position gets every message from there on; absent if it named none. */
  readonly recovered?: boolean | undefined;
  /** True if `subscription` observes the acknowledged stream. */
  readonly observed?: boolean | undefined;
  /** Reason for which the stream has ended: `deleted`, `expired`, `made_room` or another; absent: it has not. */
  readonly ended?: string | undefined;
  /** Whether `subscription` gets its lower view by this `id`; absent: it has named none. */
  readonly lowered?: boolean | undefined;
}

/** Messages and bytes that a receiver takes before it grants more (spec section 7.5). */
export interface Credits {
  readonly messages: number;
  readonly bytes: bigint;
}

/** Account of one stream of a subscription (spec section 7.7). */
export interface Counts {
  readonly delivered: bigint;
  readonly conflated: bigint;
  readonly dropped: bigint;
  readonly replayed: bigint;
  readonly expired: bigint;
  /** Delivered messages that the client's library conflated, as it has reported (spec section 7.9). */
  readonly client_conflated?: bigint | undefined;
}

/** Request for the streams that match a pattern (spec section 4.2). */
export interface Subscribe {
  readonly opcode: typeof Opcode.SUBSCRIBE;
  readonly request: number;
  readonly subscription: number;
  readonly pattern: string;
  readonly since?: Since | undefined;
  readonly view?: JsonObject | undefined;
  readonly credits?: Credits | undefined;
  /** Large message that was being received, by stream: its transfer and the first chunk that is missing. */
  readonly resume?: Readonly<Record<string, readonly [transfer: number, index: number]>> | undefined;
  /** Counts of the subscription on earlier connections, by stream. */
  readonly account?: Readonly<Record<string, Counts>> | undefined;
  /** True takes the messages of acknowledged streams without owing an answer; absent leaves that to the server. */
  readonly observe?: boolean | undefined;
  /** True: the rest of `since`, `resume` and `account` follows in further SUBSCRIBEs of the same request. */
  readonly more?: boolean | undefined;
  /** View that may be sent while the connection cannot take `view`. */
  readonly lower?: JsonObject | undefined;
}

/** Confirmation of a subscription (spec section 4.2). */
export interface Subscribed {
  readonly opcode: typeof Opcode.SUBSCRIBED;
  readonly request: number;
  readonly subscription: number;
  /** Streams named by an object as `since` that exist in the epoch that was named; absent: none were named. */
  readonly positions?: bigint | undefined;
}

/** Request to end a subscription (spec section 4.2). */
export interface Unsubscribe {
  readonly opcode: typeof Opcode.UNSUBSCRIBE;
  readonly request: number;
  readonly subscription: number;
  /** True keeps unacknowledged messages for the client, as after a lost connection. */
  readonly keep?: boolean | undefined;
}

/** Confirmation that a subscription has ended (spec section 4.2). */
export interface Unsubscribed {
  readonly opcode: typeof Opcode.UNSUBSCRIBED;
  readonly request: number;
  readonly subscription: number;
}

/** Request to end streams (spec section 4.11). */
export interface Delete {
  readonly opcode: typeof Opcode.DELETE;
  readonly request: number;
  /** Name of a stream, or a pattern of several. */
  readonly pattern: string;
}

/** Confirmation that streams have ended (spec section 4.11). */
export interface Deleted {
  readonly opcode: typeof Opcode.DELETED;
  readonly request: number;
  readonly streams: readonly string[];
  /** True if further streams match, which another request ends. */
  readonly more?: boolean | undefined;
}

/** ERROR: refusal of a message or request, named by the fields after `message` (spec section 12.2). */
export interface Refusal {
  readonly opcode: typeof Opcode.ERROR;
  readonly code: number;
  readonly error: string;
  readonly message: string;
  readonly request?: number | undefined;
  readonly alias?: number | undefined;
  readonly sequence?: bigint | undefined;
  readonly count?: number | undefined;
  readonly correlation?: bigint | undefined;
  readonly stream?: string | undefined;
  readonly transfer?: number | undefined;
  readonly subscription?: number | undefined;
  readonly peer?: number | undefined;
  readonly retry_after_s?: number | undefined;
}

/** Notice that the server will close this connection (spec section 3.3). */
export interface GoAway {
  readonly opcode: typeof Opcode.GO_AWAY;
  readonly code: number;
  readonly reason: string;
  readonly deadline_s: number;
  /** Seconds behind the close after which the client is to connect again. */
  readonly reconnect_after_s?: number | undefined;
  /** URL of the gateway to which the client is to go then. */
  readonly address?: string | undefined;
}

/** Request for a keyframe: the newest state of a stream, complete (spec section 4.4). */
export interface Refresh {
  readonly opcode: typeof Opcode.REFRESH;
  readonly stream: number;
}

/** Fate of messages that this client has published; of its connection if no stream is named (spec section 7.6). */
export interface Notice {
  readonly opcode: typeof Opcode.NOTICE;
  readonly stream?: string | undefined;
  readonly first?: bigint | undefined;
  readonly last?: bigint | undefined;
  readonly code: number;
  readonly reason: string;
  readonly client_id?: string | undefined;
  /** Subscription whose view has changed. */
  readonly subscription?: number | undefined;
  /** Size of chunks that is advised for the stream; absent: that of WELCOME. */
  readonly chunk_bytes?: number | undefined;
}

/** Request for the account of a subscription, and the answer (spec section 7.7). */
export interface Account {
  readonly opcode: typeof Opcode.ACCOUNT;
  readonly request: number;
  readonly subscription: number;
  /** Counts by stream; in the answer only. */
  readonly streams?: Readonly<Record<string, Counts>> | undefined;
  /** True: further answers to the same request follow with the other streams. */
  readonly more?: boolean | undefined;
}

export type SessionMessage =
  | Hello
  | Welcome
  | Authenticate
  | Authenticated
  | Open
  | StreamInfo
  | Subscribe
  | Subscribed
  | Unsubscribe
  | Unsubscribed
  | Delete
  | Deleted
  | Refusal
  | GoAway
  | Refresh
  | Notice
  | Account
  | PresenceMessage;
