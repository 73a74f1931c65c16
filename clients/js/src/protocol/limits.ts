/** Limits of this client (spec section 13). */

/** Limits of one side. Every length from the wire is checked against one of them before it is used. */
export interface Limits {
  /** Size of the largest WebSocket message. */
  readonly max_frame_bytes: number;
  /** Size of the largest decoded payload of one message. */
  readonly max_message_bytes: number;
}

/** Limits of a page: a tab holds far less than a Python program, and one `ArrayBuffer` at most 2 GiB in some engines. */
export const DEFAULT_LIMITS: Limits = {
  max_frame_bytes: 8 * 1024 * 1024,
  max_message_bytes: 1024 * 1024 * 1024,
};

/** Limits of the server that a client has to know (spec section 3.1). */
export interface WelcomeLimits {
  readonly max_frame_bytes: number;
  readonly max_message_bytes: number;
  readonly chunk_bytes: number;
  /** Payloads of the large messages that a client has begun and not finished; absent: the server does not tell. */
  readonly max_unfinished_bytes?: number;
  /** Aliases of the connection; absent: the server does not tell. */
  readonly max_aliases?: number;
}
