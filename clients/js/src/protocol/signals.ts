/**
 * Signals: the small binary frames ACK, GAP, END, ABORT, PING, PONG and those of delivery (spec sections 6.3 to 9).
 *
 * Each is one table of fields behind the frame start. Only ACK, END and PING, which have flags, and REPORT, which may have a
 * list behind its fields, need more than the table. No signal needs padding: the length of each is a multiple of 8.
 */

import { Code, InvalidArgument, RequestRefused } from "../errors.ts";
import { viewOf } from "./buffers.ts";
import { type Durability, durabilityOf, levelOf } from "./durability.ts";
import { checkTable, type Frame, malformed, writeStart } from "./frames.ts";
import { ACK_DURABILITY, ACK_REPEATED, END_CHECKSUM, MAX_POSITIONS, Opcode, PING_REPORT } from "./wire.ts";

/** Offsets that the server has given to a run of messages (spec section 7.1). */
export interface Ack {
  readonly opcode: typeof Opcode.ACK;
  readonly alias: number;
  /** Number of sequences that are acknowledged. */
  readonly count: number;
  /** The last one. */
  readonly sequence: bigint;
  /** Offset of `sequence`; the sequences before it have the offsets before it. */
  readonly offset: bigint;
  /** Durability of the messages by now. */
  readonly durability: Durability;
  /** True if the messages had been published before; the offsets are those of the first time. */
  readonly repeated: boolean;
}

/** End of a large message: all of its chunks are sent (spec section 6.3). */
export interface End {
  readonly opcode: typeof Opcode.END;
  readonly transfer: number;
  /** The message's offset; of a request or reply the correlation; 0 from a client that publishes. */
  readonly offset: bigint;
  /** Departure of END: Unix time in ns by the server's clock. */
  readonly timestamp_ns: bigint;
  /** CRC-32 of the complete decoded payload, if the sender has computed one. */
  readonly checksum: number | undefined;
}

/** Heartbeat: asks the other side for PONG (spec section 9). */
export interface Ping {
  readonly opcode: typeof Opcode.PING;
  /** Departure of PING by the sender's clock: Unix time in ns. */
  readonly t0: bigint;
  /** Whether the client is to report the messages that it still has, before its PONG (spec section 7.8). */
  readonly report: boolean;
}

/** Answer to PING; all times are Unix times in ns (spec section 9). */
export interface Pong {
  readonly opcode: typeof Opcode.PONG;
  readonly t0: bigint;
  /** Arrival of PING by the answering side's clock. */
  readonly t1: bigint;
  /** Departure of PONG by the answering side's clock. */
  readonly t2: bigint;
}

/**
 * GAP: messages that this receiver will not get, and the reason; REPLAY: messages that follow from the stream's history;
 * DONE: messages that the receiver's program has finished, or (with a code) is to get again (spec sections 7.2 to 7.4).
 */
export interface OffsetRange {
  readonly opcode: typeof Opcode.GAP | typeof Opcode.REPLAY | typeof Opcode.DONE;
  readonly stream: number;
  readonly code: number;
  /** First offset. */
  readonly first: bigint;
  /** Last offset. */
  readonly last: bigint;
}

/** Messages that the receiver still has and has not answered: its program works on them (spec section 7.8). */
export interface InProgress {
  readonly opcode: typeof Opcode.IN_PROGRESS;
  readonly stream: number;
  readonly first: bigint;
  readonly last: bigint;
}

/** Versions of a state that the receiver's library conflated, because its program is slow (spec section 7.9). */
export interface Conflated {
  readonly opcode: typeof Opcode.CONFLATED;
  readonly stream: number;
  /** Number of these messages since the last such frame. */
  readonly count: bigint;
}

/** Position of the receiver's program in one stream (spec section 7.10). */
export interface ProgramPosition {
  readonly stream: number;
  /** Offsets from `offset` up to the last message that the receiver has got; 0: the program has taken all. */
  readonly behind: number;
  /** The program has taken every message before it. */
  readonly offset: bigint;
}

/** Cost of what the receiver has got, and messages that wait for its program (spec section 7.10). */
export interface ReceiverReport {
  readonly opcode: typeof Opcode.REPORT;
  /** Bytes of payloads, decoded, that the receiver has decoded since its last report. */
  readonly decoded_bytes: bigint;
  /** Time that this took, in all threads together. */
  readonly decode_ns: bigint;
  /** Received bytes that the program has not taken yet. */
  readonly unread_bytes: bigint;
  /** Age of the oldest message among them; 0 if there is none. */
  readonly unread_ns: bigint;
  /** Streams in which the program is behind, or has caught up, as far as that has changed; at most 64. */
  readonly positions: readonly ProgramPosition[];
}

/** Notice that the rest of a large message will not come (spec section 6.4). */
export interface Abort {
  readonly opcode: typeof Opcode.ABORT;
  readonly transfer: number;
  readonly code: number;
}

/** Request to continue a large message of which the server has a part from before (spec section 6.5). */
export interface Resume {
  readonly opcode: typeof Opcode.RESUME;
  readonly transfer: number;
  /** The first chunk that is missing. */
  readonly index: number;
}

/** Messages and bytes that the receiver takes in addition for one of its subscriptions (spec section 7.5). */
export interface Credit {
  readonly opcode: typeof Opcode.CREDIT;
  readonly subscription: number;
  readonly messages: number;
  readonly nbytes: bigint;
}

/** Notice that the asker does not want the answer any more (spec section 8.1). */
export interface Cancel {
  readonly opcode: typeof Opcode.CANCEL;
  /** Peer of the asker, from the server; 0 from the asker. */
  readonly peer: number;
  readonly correlation: bigint;
}

export type Signal =
  | Ack
  | End
  | Ping
  | Pong
  | OffsetRange
  | InProgress
  | Conflated
  | ReceiverReport
  | Abort
  | Resume
  | Credit
  | Cancel;

type Field = readonly [name: string, type: "u32" | "u64" | "i64", at: number];

interface Table {
  readonly bytes: number;
  readonly fields: readonly Field[];
}

const RANGE: Table = {
  bytes: 32,
  fields: [
    ["stream", "u32", 8],
    ["code", "u32", 12],
    ["first", "u64", 16],
    ["last", "u64", 24],
  ],
};

const TABLES: Readonly<Record<number, Table>> = {
  [Opcode.ACK]: {
    bytes: 32,
    fields: [
      ["alias", "u32", 8],
      ["count", "u32", 12],
      ["sequence", "u64", 16],
      ["offset", "u64", 24],
    ],
  },
  [Opcode.END]: {
    bytes: 32,
    fields: [
      ["transfer", "u32", 8],
      ["offset", "u64", 16],
      ["timestamp_ns", "i64", 24],
    ],
  },
  [Opcode.PING]: { bytes: 16, fields: [["t0", "i64", 8]] },
  [Opcode.PONG]: {
    bytes: 32,
    fields: [
      ["t0", "i64", 8],
      ["t1", "i64", 16],
      ["t2", "i64", 24],
    ],
  },
  [Opcode.GAP]: RANGE,
  [Opcode.REPLAY]: RANGE,
  [Opcode.DONE]: RANGE,
  [Opcode.IN_PROGRESS]: {
    bytes: 32,
    fields: [
      ["stream", "u32", 8],
      ["first", "u64", 16],
      ["last", "u64", 24],
    ],
  },
  [Opcode.CONFLATED]: {
    bytes: 24,
    fields: [
      ["stream", "u32", 8],
      ["count", "u64", 16],
    ],
  },
  [Opcode.REPORT]: {
    bytes: 40,
    fields: [
      ["decoded_bytes", "u64", 8],
      ["decode_ns", "u64", 16],
      ["unread_bytes", "u64", 24],
      ["unread_ns", "u64", 32],
    ],
  },
  [Opcode.ABORT]: {
    bytes: 16,
    fields: [
      ["transfer", "u32", 8],
      ["code", "u32", 12],
    ],
  },
  [Opcode.RESUME]: {
    bytes: 16,
    fields: [
      ["transfer", "u32", 8],
      ["index", "u32", 12],
    ],
  },
  [Opcode.CREDIT]: {
    bytes: 24,
    fields: [
      ["subscription", "u32", 8],
      ["messages", "u32", 12],
      ["nbytes", "u64", 16],
    ],
  },
  [Opcode.CANCEL]: {
    bytes: 24,
    fields: [
      ["peer", "u32", 8],
      ["correlation", "u64", 16],
    ],
  },
};

const CHECKSUM_AT = 12;
/** Size of the number of positions, and of each position, behind the fields of REPORT. */
const COUNT_BYTES = 8;
const POSITION_BYTES = 16;

/** Return whether frames of this opcode are signals. */
export function isSignal(opcode: number): boolean {
  return TABLES[opcode] !== undefined;
}

/**
 * Read a signal; bytes that a later version may add behind the fields are skipped.
 *
 * @throws ProtocolViolation `MALFORMED_FRAME`, the frame is shorter than its table or its list.
 * @throws RequestRefused `UNKNOWN_MESSAGE_TYPE`, no signal has the opcode.
 */
export function parseSignal(message: Uint8Array, frame: Frame): Signal {
  const table = TABLES[frame.opcode];
  if (table === undefined) {
    throw new RequestRefused(Code.UNKNOWN_MESSAGE_TYPE, `opcode 0x${frame.opcode.toString(16)} is no signal`);
  }
  checkTable(frame, table.bytes);
  const view = viewOf(message.subarray(frame.start, frame.end));
  const fields: Record<string, number | bigint> = {};
  for (const [name, type, at] of table.fields) {
    fields[name] =
      type === "u32"
        ? view.getUint32(at, true)
        : type === "u64"
          ? view.getBigUint64(at, true)
          : view.getBigInt64(at, true);
  }
  // The table has the fields of the type that the opcode names.
  return { opcode: frame.opcode, ...fields, ...flaggedFields(frame, view) } as unknown as Signal;
}

function flaggedFields({ opcode, flags }: Frame, view: DataView): object {
  switch (opcode) {
    case Opcode.ACK:
      return { durability: durabilityOf(flags & ACK_DURABILITY), repeated: (flags & ACK_REPEATED) !== 0 };
    case Opcode.END:
      return { checksum: flags & END_CHECKSUM ? view.getUint32(CHECKSUM_AT, true) : undefined };
    case Opcode.PING:
      return { report: (flags & PING_REPORT) !== 0 };
    case Opcode.REPORT:
      return { positions: readPositions(view) };
    default:
      return {};
  }
}

function readPositions(view: DataView): ProgramPosition[] {
  const countAt = TABLES[Opcode.REPORT].bytes;
  const start = countAt + COUNT_BYTES;
  if (view.byteLength < start) {
    return [];
  }
  const count = view.getUint32(countAt, true);
  if (count > MAX_POSITIONS || start + count * POSITION_BYTES > view.byteLength) {
    throw malformed(
      `REPORT of ${view.byteLength} bytes names ${count} positions: at most ${MAX_POSITIONS}, of 16 bytes each`,
    );
  }
  return Array.from({ length: count }, (_, index) => {
    const at = start + index * POSITION_BYTES;
    return {
      stream: view.getUint32(at, true),
      behind: view.getUint32(at + 4, true),
      offset: view.getBigUint64(at + 8, true),
    };
  });
}

/**
 * Return the complete frame.
 *
 * @throws InvalidArgument a REPORT of more than 64 positions.
 */
export function writeSignal(signal: Signal): Uint8Array<ArrayBuffer> {
  const table = TABLES[signal.opcode];
  const positions = signal.opcode === Opcode.REPORT ? signal.positions : [];
  const listBytes = positions.length && COUNT_BYTES + positions.length * POSITION_BYTES;
  const frame = new Uint8Array(table.bytes + listBytes);
  const view = viewOf(frame);
  writeStart(view, frame.byteLength, signal.opcode, flagsOf(signal));
  const fields = signal as unknown as Readonly<Record<string, number | bigint>>;
  for (const [name, type, at] of table.fields) {
    const value = fields[name];
    if (type === "u32") {
      view.setUint32(at, Number(value), true);
    } else {
      view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), true);
    }
  }
  if (signal.opcode === Opcode.END && signal.checksum !== undefined) {
    view.setUint32(CHECKSUM_AT, signal.checksum, true);
  }
  if (positions.length) {
    writePositions(view, table.bytes, positions);
  }
  return frame;
}

function flagsOf(signal: Signal): number {
  switch (signal.opcode) {
    case Opcode.ACK:
      return levelOf(signal.durability) | (signal.repeated ? ACK_REPEATED : 0);
    case Opcode.END:
      return signal.checksum === undefined ? 0 : END_CHECKSUM;
    case Opcode.PING:
      return signal.report ? PING_REPORT : 0;
    default:
      return 0;
  }
}

function writePositions(view: DataView, countAt: number, positions: readonly ProgramPosition[]): void {
  if (positions.length > MAX_POSITIONS) {
    throw new InvalidArgument(`a REPORT of ${positions.length} positions: send at most ${MAX_POSITIONS} in one frame`);
  }
  view.setUint32(countAt, positions.length, true);
  positions.forEach(({ stream, behind, offset }, index) => {
    const at = countAt + COUNT_BYTES + index * POSITION_BYTES;
    view.setUint32(at, stream, true);
    view.setUint32(at + 4, behind, true);
    view.setBigUint64(at + 8, offset, true);
  });
}
