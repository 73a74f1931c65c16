/**
 * Bodies of session messages: JSON to the types of `messages.ts` and back (spec section 2).
 *
 * Knows types and ranges of fields; checks no names, nor whether a message is expected.
 */

import { Code, ProtocolViolation, RequestRefused } from "../errors.ts";
import { viewOf, withPadding } from "./buffers.ts";
import { DURABILITIES } from "./durability.ts";
import { utf8Bytes, writeJson } from "./exact_json.ts";
import { writeStart } from "./frames.ts";
import { JsonBody } from "./json_body.ts";
import type { WelcomeLimits } from "./limits.ts";
import {
  type Account,
  BEGINNING,
  CLIENT_TYPES,
  type Counts,
  type GoAway,
  type Hello,
  KINDS,
  type Notice,
  type Open,
  type Refusal,
  type SessionMessage,
  type Since,
  type StreamInfo,
  type Subscribe,
  type Welcome,
} from "./messages.ts";
import { readAttend, readAttending, readAwareness, readMembers } from "./presence.ts";
import { Opcode, opcodeName, START_BYTES, U32_MAX } from "./wire.ts";

/** Characters of `agent` in HELLO that are kept. */
const MAX_AGENT_CHARS = 256;

/** Real numbers, which have a fraction even where it is 0, as the gateway writes them. */
const REALS: ReadonlySet<string> = new Set([
  "heartbeat_interval_s",
  "expires_s",
  "deadline_s",
  "reconnect_after_s",
  "retry_after_s",
  "view.max_rate_hz",
  "lower.max_rate_hz",
]);

/**
 * Return the frame of a message as the list of buffers to write, padding included (spec section 2).
 *
 * Fields are written in the order in which the message has them.
 */
export function writeSession(message: SessionMessage): Uint8Array[] {
  const { opcode, ...fields } = message;
  const body = utf8Bytes(writeJson({ ...fields } as Parameters<typeof writeJson>[0], REALS));
  const start = new Uint8Array(START_BYTES);
  writeStart(viewOf(start), START_BYTES + body.byteLength, opcode);
  return withPadding([start, body]);
}

/**
 * Read the body of a frame.
 *
 * @param opcode one for which `isJson` is true.
 * @param bytes bytes of the frame from offset 8 to `frame_bytes`; not kept.
 * @throws ProtocolViolation `BAD_HELLO`, a HELLO cannot be read.
 * @throws RequestRefused `INVALID_REQUEST`, with the field and the type that was found; `UNKNOWN_MESSAGE_TYPE` for another
 *   opcode.
 */
export function parseSession(opcode: number, bytes: Uint8Array): SessionMessage {
  const read = READERS[opcode];
  const name = opcodeName(opcode);
  if (read === undefined || name === undefined) {
    throw new RequestRefused(Code.UNKNOWN_MESSAGE_TYPE, `opcode 0x${opcode.toString(16)} has no JSON body`);
  }
  try {
    return read(JsonBody.parse(name, bytes));
  } catch (error) {
    if (opcode === Opcode.HELLO && error instanceof RequestRefused) {
      throw new ProtocolViolation(Code.BAD_HELLO, error.problem);
    }
    throw error;
  }
}

function readHello(body: JsonBody): Hello {
  return {
    opcode: Opcode.HELLO,
    versions: body.integers("versions"),
    client_type: body.choice("client_type", CLIENT_TYPES),
    client_id: body.textOrUndefined("client_id"),
    token: body.textOrUndefined("token") ?? null,
    agent: (body.textOrUndefined("agent") ?? "").slice(0, MAX_AGENT_CHARS),
    codecs: body.texts("codecs"),
    filters: body.texts("filters"),
    max_message_bytes: body.longOrUndefined("max_message_bytes"),
    instance: body.integerOrUndefined("instance"),
    generation: body.integerOrUndefined("generation"),
    credits: body.booleanOrUndefined("credits"),
    chunk_advice: body.booleanOrUndefined("chunk_advice"),
  };
}

function readWelcome(body: JsonBody): Welcome {
  return {
    opcode: Opcode.WELCOME,
    version: body.integer("version"),
    client_id: body.text("client_id"),
    session: body.text("session"),
    peer: body.integer("peer", U32_MAX),
    codecs: body.texts("codecs"),
    filters: body.texts("filters"),
    limits: readLimits(body.nested("limits")),
    heartbeat_interval_s: body.number("heartbeat_interval_s"),
    time_ns: body.long("time_ns"),
    agent: body.textOrUndefined("agent") ?? "",
    generation: body.integerOrUndefined("generation"),
    credits: body.booleanOrUndefined("credits"),
  };
}

function readLimits(limits: JsonBody): WelcomeLimits {
  const unfinished = limits.integerOrUndefined("max_unfinished_bytes");
  const aliases = limits.integerOrUndefined("max_aliases", U32_MAX);
  return {
    max_frame_bytes: limits.integer("max_frame_bytes"),
    max_message_bytes: limits.integer("max_message_bytes"),
    chunk_bytes: limits.integer("chunk_bytes"),
    ...(unfinished !== undefined && { max_unfinished_bytes: unfinished }),
    ...(aliases !== undefined && { max_aliases: aliases }),
  };
}

function readStream(body: JsonBody): StreamInfo {
  const opcode = Opcode.STREAM;
  const stream = body.text("stream");
  const alias = body.integerOrUndefined("alias", U32_MAX);
  if (!body.has("id")) {
    return { opcode, id: null, stream, alias };
  }
  return {
    opcode,
    id: body.integer("id", U32_MAX),
    stream,
    kind: body.choice("kind", KINDS),
    epoch: body.integer("epoch"),
    offset: body.long("offset"),
    alias,
    durability: body.choiceOrUndefined("durability", DURABILITIES),
    schema: body.mappingOrUndefined("schema"),
    subscription: body.integerOrUndefined("subscription", U32_MAX),
    since: body.longOrUndefined("since"),
    recovered: body.booleanOrUndefined("recovered"),
    observed: body.booleanOrUndefined("observed"),
    ended: body.textOrUndefined("ended"),
    lowered: body.booleanOrUndefined("lowered"),
  };
}

function readOpen(body: JsonBody): Open {
  return {
    opcode: Opcode.OPEN,
    alias: body.integer("alias", U32_MAX),
    stream: body.text("stream"),
    kind: body.choiceOrUndefined("kind", KINDS),
    durability: body.choiceOrUndefined("durability", DURABILITIES),
    schema: body.mappingOrUndefined("schema"),
    producer: body.integerOrUndefined("producer"),
    sequence: body.longOrUndefined("sequence", 1n),
  };
}

function readSubscribe(body: JsonBody): Subscribe {
  const credits = body.has("credits") ? body.nested("credits") : undefined;
  return {
    opcode: Opcode.SUBSCRIBE,
    request: body.integer("request"),
    subscription: body.integer("subscription", U32_MAX),
    pattern: body.text("pattern"),
    since: readSince(body),
    view: body.mappingOrUndefined("view"),
    credits: credits && { messages: credits.integer("messages", U32_MAX), bytes: credits.long("bytes") },
    resume: body.has("resume") ? readResume(body.nested("resume")) : undefined,
    account: readCounts(body, "account"),
    observe: body.booleanOrUndefined("observe"),
    more: body.booleanOrUndefined("more"),
    lower: body.mappingOrUndefined("lower"),
  };
}

function readSince(body: JsonBody): Since | undefined {
  const since = body.get("since");
  if (since === undefined) {
    return undefined;
  }
  if (typeof since === "string") {
    return body.choice("since", [BEGINNING] as const);
  }
  if (typeof since !== "object") {
    return body.long("since");
  }
  const streams = body.nested("since");
  return Object.fromEntries(streams.names().map((name) => [name, streams.pair(name, Number.MAX_SAFE_INTEGER)]));
}

function readResume(streams: JsonBody): Record<string, [number, number]> {
  const read = (name: string): [number, number] => {
    const [transfer, index] = streams.pair(name, U32_MAX);
    if (index > U32_MAX) {
      throw new RequestRefused(Code.INVALID_REQUEST, `resume: chunk ${index} exceeds ${U32_MAX}`);
    }
    return [transfer, Number(index)];
  };
  return Object.fromEntries(streams.names().map((name) => [name, read(name)]));
}

function readCounts(body: JsonBody, name: string): Record<string, Counts> | undefined {
  if (!body.has(name)) {
    return undefined;
  }
  const streams = body.nested(name);
  return Object.fromEntries(streams.names().map((stream) => [stream, readCount(streams.nested(stream))]));
}

function readCount(counts: JsonBody): Counts {
  return {
    delivered: counts.longOrUndefined("delivered") ?? 0n,
    conflated: counts.longOrUndefined("conflated") ?? 0n,
    dropped: counts.longOrUndefined("dropped") ?? 0n,
    replayed: counts.longOrUndefined("replayed") ?? 0n,
    expired: counts.longOrUndefined("expired") ?? 0n,
    client_conflated: counts.longOrUndefined("client_conflated") || undefined,
  };
}

function readRefusal(body: JsonBody): Refusal {
  return {
    opcode: Opcode.ERROR,
    code: body.integer("code", U32_MAX),
    error: body.text("error"),
    message: body.text("message"),
    request: body.integerOrUndefined("request"),
    alias: body.integerOrUndefined("alias", U32_MAX),
    sequence: body.longOrUndefined("sequence"),
    count: body.integerOrUndefined("count", U32_MAX),
    correlation: body.longOrUndefined("correlation"),
    stream: body.textOrUndefined("stream"),
    transfer: body.integerOrUndefined("transfer", U32_MAX),
    subscription: body.integerOrUndefined("subscription", U32_MAX),
    peer: body.integerOrUndefined("peer", U32_MAX),
    retry_after_s: body.numberOrUndefined("retry_after_s"),
  };
}

function readGoAway(body: JsonBody): GoAway {
  return {
    opcode: Opcode.GO_AWAY,
    code: body.integer("code", U32_MAX),
    reason: body.text("reason"),
    deadline_s: body.number("deadline_s"),
    reconnect_after_s: body.numberOrUndefined("reconnect_after_s"),
    address: body.textOrUndefined("address"),
  };
}

function readNotice(body: JsonBody): Notice {
  const stream = body.textOrUndefined("stream");
  const isAdvice = stream === undefined || body.get("code") === Code.CHUNKS_ADVISED;
  return {
    opcode: Opcode.NOTICE,
    stream,
    first: isAdvice ? undefined : body.long("first"),
    last: isAdvice ? undefined : body.long("last"),
    code: body.integer("code", U32_MAX),
    reason: body.text("reason"),
    client_id: body.textOrUndefined("client_id"),
    subscription: body.integerOrUndefined("subscription", U32_MAX),
    chunk_bytes: body.integerOrUndefined("chunk_bytes", U32_MAX),
  };
}

function readAccount(body: JsonBody): Account {
  return {
    opcode: Opcode.ACCOUNT,
    ...requested(body),
    streams: readCounts(body, "streams"),
    more: body.booleanOrUndefined("more"),
  };
}

function requested(body: JsonBody): { request: number; subscription: number } {
  return { request: body.integer("request"), subscription: body.integer("subscription", U32_MAX) };
}

const READERS: Readonly<Record<number, (body: JsonBody) => SessionMessage>> = {
  [Opcode.HELLO]: readHello,
  [Opcode.WELCOME]: readWelcome,
  [Opcode.AUTHENTICATE]: (body) => ({
    opcode: Opcode.AUTHENTICATE,
    request: body.integer("request"),
    token: body.text("token"),
  }),
  [Opcode.AUTHENTICATED]: (body) => ({
    opcode: Opcode.AUTHENTICATED,
    request: body.integer("request"),
    expires_s: body.numberOrUndefined("expires_s") ?? null,
  }),
  [Opcode.OPEN]: readOpen,
  [Opcode.STREAM]: readStream,
  [Opcode.SUBSCRIBE]: readSubscribe,
  [Opcode.SUBSCRIBED]: (body) => ({
    opcode: Opcode.SUBSCRIBED,
    ...requested(body),
    positions: body.longOrUndefined("positions"),
  }),
  [Opcode.UNSUBSCRIBE]: (body) => ({
    opcode: Opcode.UNSUBSCRIBE,
    ...requested(body),
    keep: body.booleanOrUndefined("keep"),
  }),
  [Opcode.UNSUBSCRIBED]: (body) => ({ opcode: Opcode.UNSUBSCRIBED, ...requested(body) }),
  [Opcode.DELETE]: (body) => ({
    opcode: Opcode.DELETE,
    request: body.integer("request"),
    pattern: body.text("pattern"),
  }),
  [Opcode.DELETED]: (body) => ({
    opcode: Opcode.DELETED,
    request: body.integer("request"),
    streams: body.texts("streams"),
    more: body.booleanOrUndefined("more"),
  }),
  [Opcode.ERROR]: readRefusal,
  [Opcode.GO_AWAY]: readGoAway,
  [Opcode.REFRESH]: (body) => ({ opcode: Opcode.REFRESH, stream: body.integer("stream", U32_MAX) }),
  [Opcode.NOTICE]: readNotice,
  [Opcode.ACCOUNT]: readAccount,
  [Opcode.ATTEND]: readAttend,
  [Opcode.ATTENDING]: readAttending,
  [Opcode.AWARENESS]: readAwareness,
  [Opcode.MEMBERS]: readMembers,
};
