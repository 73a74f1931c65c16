/**
 * Error tree of the client, with the codes of `spec/protocol.md`, section 12.
 *
 * ```text
 * FrysError
 * ├── PeerError                 the other side's fault; carries a wire code
 * │   ├── ProtocolViolation     the connection must be closed (close code 4xxx)
 * │   └── RequestRefused        one request failed, the connection lives (error code 5xxx)
 * │       └── RequestFailed     the other client answered that it failed
 * ├── UsageError                the program's fault: fix it
 * │   ├── InvalidArgument
 * │   └── UnsupportedDtype
 * ├── CapacityError             too many bytes wait to be sent
 * └── ConnectionFailed          no connection, or it was lost before the answer
 *     ├── ConnectionClosed      for good, with a close code
 *     └── RequestTimeout        no progress in time
 * ```
 */

/** Close codes (4xxx) and error codes (5xxx) of spec section 12.1, by name. */
export const Code = {
  NORMAL: 1000,
  GOING_AWAY: 1001,
  PROTOCOL_ERROR: 1002,
  UNSUPPORTED_DATA: 1003,
  INVALID_DATA: 1007,
  FRAME_TOO_BIG: 1009,
  INTERNAL_ERROR: 1011,

  HEARTBEAT_TIMEOUT: 4000,
  SLOW_CONSUMER: 4001,
  HANDSHAKE_TIMEOUT: 4002,
  RECONNECTED: 4003,
  TOO_MANY_CONNECTIONS: 4100,
  ADDRESS_LIMIT: 4101,
  OVERLOADED: 4102,
  MALFORMED_FRAME: 4200,
  UNSUPPORTED_VERSION: 4201,
  UNEXPECTED_MESSAGE: 4202,
  BAD_HELLO: 4203,
  SUPERSEDED: 4204,
  UNAUTHENTICATED: 4300,
  TOKEN_EXPIRED: 4301,
  TOKEN_REVOKED: 4302,

  TRANSFER_ABORTED: 5000,
  PEER_GONE: 5001,
  TRANSFER_TIMEOUT: 5002,
  STREAM_ENDED: 5003,
  QUEUE_FULL: 5100,
  NO_SUCH_PEER: 5101,
  DRAINING: 5102,
  PRESENCE_FULL: 5103,
  UNKNOWN_STREAM: 5200,
  UNKNOWN_MESSAGE_TYPE: 5201,
  INVALID_NAME: 5202,
  KIND_MISMATCH: 5203,
  INVALID_TENSOR: 5204,
  SIZE_MISMATCH: 5205,
  UNKNOWN_CODEC: 5206,
  CORRUPT_PAYLOAD: 5207,
  MESSAGE_TOO_BIG: 5208,
  BROKEN_TRANSFER: 5209,
  BAD_SEQUENCE: 5210,
  INVALID_REQUEST: 5211,
  LIMIT_EXCEEDED: 5212,
  NOT_REQUESTED: 5213,
  INTERNAL: 5214,
  SCHEMA_MISMATCH: 5215,
  DURABILITY_MISMATCH: 5216,
  INVALID_VIEW: 5217,
  EXPIRED: 5218,
  DEAD_LETTER: 5219,
  HISTORY_LOST: 5220,
  OUT_OF_WINDOW: 5221,
  CANCELLED: 5222,
  INVALID_REGION: 5223,
  NOT_PROCESSED: 5224,
  VIEW_LOWERED: 5226,
  VIEW_RESTORED: 5227,
  CHUNKS_ADVISED: 5228,
  FORBIDDEN: 5300,
} as const;

/** Action of a client after a close or error code (spec section 12). */
export type Action = "reconnect" | "reconnect_later" | "do_not_reconnect" | "refresh_token";

const ACTIONS: readonly Action[] = ["reconnect", "reconnect_later", "do_not_reconnect", "refresh_token"];
const FINAL_WEBSOCKET_CODES: ReadonlySet<number> = new Set([1000, 1002, 1003, 1007, 1008, 1009, 1010]);
const NAMES: ReadonlyMap<number, string> = new Map(Object.entries(Code).map(([name, code]) => [code, name]));

/** Return the action of a client after a close or error code, whether it knows the code or not (spec section 12). */
export function actionOf(code: number): Action {
  if (code >= 4000 && code < 6000) {
    return ACTIONS[Math.floor((code % 1000) / 100)] ?? "do_not_reconnect";
  }
  return FINAL_WEBSOCKET_CODES.has(code) ? "do_not_reconnect" : "reconnect";
}

/** Return the documented name of a code, or `CODE_<n>` for one that this version does not know. */
export function nameOf(code: number): string {
  return NAMES.get(code) ?? `CODE_${code}`;
}

/** Root of every error that the client throws on purpose. */
export class FrysError extends Error {
  override name = "FrysError";
}

/** Fault of the other side, or a fault of this side that the other one reports. */
export class PeerError extends FrysError {
  override name = "PeerError";
  /** Wire code, for which {@link actionOf} gives the action; also one that this version does not know. */
  readonly code: number;
  /** Description of the fault, with the values that caused it: `message` without the name of the code. */
  readonly problem: string;
  /** Seconds after which another attempt is welcome; absent: the other side did not say. */
  readonly retryAfterS: number | undefined;

  constructor(code: number, problem: string, retryAfterS?: number) {
    super(`${problem} (${nameOf(code)}, code ${code})`);
    this.code = code;
    this.problem = problem;
    this.retryAfterS = retryAfterS;
  }

  /** Action of a client after this error. */
  get action(): Action {
    return actionOf(this.code);
  }
}

/** Violation of the protocol that closes the connection; `code` is a close code. */
export class ProtocolViolation extends PeerError {
  override name = "ProtocolViolation";
}

/** Refusal of one request or message; the connection stays open; `code` is an error code. */
export class RequestRefused extends PeerError {
  override name = "RequestRefused";
}

/** Fault of the calling program; the message says how to change it. */
export class UsageError extends FrysError {
  override name = "UsageError";
}

/** Argument with a value that cannot be used. */
export class InvalidArgument extends UsageError {
  override name = "InvalidArgument";
}

/** Array of a type that cannot travel; the message names the ones that can. */
export class UnsupportedDtype extends UsageError {
  override name = "UnsupportedDtype";
}

/** Failure of a request that the other client has answered so. */
export class RequestFailed extends RequestRefused {
  override name = "RequestFailed";
}

/** Refusal of a publish that is not acknowledged: too many bytes wait to be sent. */
export class CapacityError extends FrysError {
  override name = "CapacityError";
}

/** Lack of a connection, or its loss before the answer. */
export class ConnectionFailed extends FrysError {
  override name = "ConnectionFailed";
  /** Code that the gateway has named, if it takes no client for now. */
  readonly code: number | undefined;
  /** Seconds after which it wants the client back. */
  readonly retryAfterS: number | undefined;

  constructor(problem: string, code?: number, retryAfterS?: number) {
    super(problem);
    this.code = code;
    this.retryAfterS = retryAfterS;
  }
}

/** End of the connection for good: by a final code, or by the program. */
export class ConnectionClosed extends ConnectionFailed {
  override name = "ConnectionClosed";

  constructor(code: number, reason: string) {
    super(`${reason} (${nameOf(code)}, code ${code})`, code);
  }
}

/** Lack of progress within a time limit. */
export class RequestTimeout extends ConnectionFailed {
  override name = "RequestTimeout";
}
