/**
 * Types of frames (spec section 2): constants of their own, so that a bundler writes numbers where they are used and leaves
 * the names out.
 */

export const HELLO = 0x01 as const;
export const WELCOME = 0x02 as const;
export const AUTHENTICATE = 0x03 as const;
export const AUTHENTICATED = 0x04 as const;
export const OPEN = 0x05 as const;
export const STREAM = 0x06 as const;
export const SUBSCRIBE = 0x07 as const;
export const SUBSCRIBED = 0x08 as const;
export const UNSUBSCRIBE = 0x09 as const;
export const UNSUBSCRIBED = 0x0a as const;
export const ERROR = 0x0b as const;
export const GO_AWAY = 0x0c as const;
export const REFRESH = 0x0d as const;
export const NOTICE = 0x0e as const;
export const ACCOUNT = 0x0f as const;
export const MESSAGE = 0x10 as const;
export const BATCH = 0x11 as const;
export const REQUEST = 0x12 as const;
export const REPLY = 0x13 as const;
export const CHUNK = 0x18 as const;
export const END = 0x19 as const;
export const ABORT = 0x1a as const;
export const ACK = 0x1b as const;
export const GAP = 0x1c as const;
export const PING = 0x1d as const;
export const PONG = 0x1e as const;
export const CREDIT = 0x1f as const;
export const DONE = 0x20 as const;
export const RESUME = 0x21 as const;
export const CANCEL = 0x22 as const;
export const REPLAY = 0x23 as const;
export const IN_PROGRESS = 0x24 as const;
export const CONFLATED = 0x25 as const;
export const DELETE = 0x26 as const;
export const DELETED = 0x27 as const;
export const ATTEND = 0x28 as const;
export const ATTENDING = 0x29 as const;
export const AWARENESS = 0x2a as const;
export const MEMBERS = 0x2b as const;
export const REPORT = 0x2c as const;
