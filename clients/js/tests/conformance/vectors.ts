/** Golden bytes: reading the files of `spec/vectors`, and turning bytes into descriptions and back with our own code.
 *
 * The same descriptions as in `tests/conformance/vectors.py`; `spec/vectors/README.md` says what is in them. */

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Code } from "../../src/errors.ts";
import {
  Assembler,
  bodyOf,
  type CodecStep,
  checkDeclared,
  type DataFrame,
  type DataOpcode,
  type Encoding,
  type Extensions,
  Flag,
  isData,
  isJson,
  iterFrames,
  joined,
  loadCodecs,
  type Meta,
  Opcode,
  type OpcodeName,
  opcodeName,
  parseChunk,
  parseData,
  parseMeta,
  parseSession,
  parseSignal,
  RequestRefused,
  type SessionMessage,
  type Signal,
  type Tensor,
  tensorsOf,
  viewTensors,
  writeChunk,
  writeData,
  writeMeta,
  writeSession,
  writeSignal,
} from "../../src/index.ts";
import { type JsonObject, type JsonValue, parseJson } from "../../src/protocol/exact_json.ts";
import { isSignal } from "../../src/protocol/signals.ts";

const FOLDER = new URL("../../../../spec/vectors/", import.meta.url);

/** Description of a frame: fields by the names of the specification's tables. */
export type Description = Record<string, JsonValue>;

/** One pair of files: the bytes of a WebSocket message and their meaning. */
export interface Vector {
  readonly name: string;
  readonly message: Uint8Array;
  readonly frames: Description[] | undefined;
  readonly error: string | undefined;
  /** The payload that a delta refers to. */
  readonly base: Uint8Array | undefined;
}

/** Return every vector of the repository, by name. */
export function load(): Vector[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith(".json"))
    .sort()
    .map((file) => {
      const about = parseJson(file, readFileSync(new URL(file, FOLDER))) as JsonObject;
      return {
        name: file.slice(0, -".json".length),
        // A copy: small files share a buffer, in which they begin anywhere.
        message: new Uint8Array(readFileSync(new URL(file.replace(/json$/, "bin"), FOLDER))),
        frames: about.frames as Description[] | undefined,
        error: about.error as string | undefined,
        base: about.base === undefined ? undefined : bytesFrom(about.base as string),
      };
    });
}

/** Return the path of a file of the repository. */
export function repositoryFile(path: string): string {
  return fileURLToPath(new URL(`../../../../${path}`, import.meta.url));
}

/** Return whether a vector has a chain with `pco`, which this client does not decode. */
export function hasPco({ name }: Vector): boolean {
  return /\bpco\b/.test(name);
}

interface Transfer {
  readonly assembler: Assembler;
  readonly meta: Meta;
  readonly frame: DataFrame;
  readonly about: Description;
}

/** Limit of a message while vectors are read: no vector has a larger payload. */
export const MAX_MESSAGE_BYTES = 1 << 20;

/**
 * Return the description of a WebSocket message, decoded and put together.
 *
 * @throws PeerError as a receiver would answer it.
 */
export async function describeMessage(message: Uint8Array, base?: Uint8Array): Promise<Description[]> {
  const frames: Description[] = [];
  const transfers = new Map<number, Transfer>();
  for (const frame of iterFrames(message)) {
    const name = opcodeName(frame.opcode);
    if (name === undefined) {
      throw new RequestRefused(Code.UNKNOWN_MESSAGE_TYPE, `opcode ${frame.opcode}`);
    }
    const about: Description = { opcode: name, frame_bytes: frame.end - frame.start };
    frames.push(about);
    if (isJson(frame.opcode)) {
      const { opcode: _, ...fields } = parseSession(frame.opcode, bodyOf(message, frame));
      about.body = present(fields);
    } else if (isData(frame.opcode)) {
      await describeData(parseData(message, frame), base, about, transfers);
    } else if (frame.opcode === Opcode.CHUNK) {
      const chunk = parseChunk(message, frame);
      Object.assign(about, { flags: flagNames(frame.flags), transfer: chunk.transfer, index: chunk.index });
      Object.assign(about, chunk.encoding && { encoding: describeEncoding(chunk.encoding) });
      about.data = hex(chunk.data);
      await loadCodecs(chunk.encoding);
      transfers.get(chunk.transfer)?.assembler.receive(chunk, base);
    } else {
      const signal = parseSignal(message, frame);
      Object.assign(about, describeSignal(signal));
      const transfer = signal.opcode === Opcode.END ? transfers.get(signal.transfer) : undefined;
      if (transfer) {
        const payload = transfer.assembler.payload();
        addContents(transfer.about, viewTensors(transfer.meta.specs, payload, transfer.frame.count));
      }
    }
  }
  return frames;
}

async function describeData(
  frame: DataFrame,
  base: Uint8Array | undefined,
  about: Description,
  transfers: Map<number, Transfer>,
): Promise<void> {
  const meta = parseMeta(frame.meta);
  const { flags, stream, publisher, offset, timestamp_ns, count, extensions, encoding, plan } = frame;
  Object.assign(about, { flags: flagNames(flags), meta_units: frame.meta.byteLength / 8, stream, publisher });
  Object.assign(about, { offset: `${offset}`, timestamp_ns: `${timestamp_ns}` }, count !== undefined && { count });
  about.tensors = meta.specs.map(({ name, dtype, shape }) => ({ name, dtype, shape }));
  about.headers = meta.headers;
  Object.assign(about, extensions && { extensions: describeExtensions(extensions) });
  checkDeclared(frame, meta, MAX_MESSAGE_BYTES);
  if (plan) {
    about.plan = { ...plan, payload_bytes: `${plan.payload_bytes}` };
    transfers.set(plan.transfer, { assembler: new Assembler(plan, MAX_MESSAGE_BYTES), meta, frame, about });
    return;
  }
  if (encoding) {
    Object.assign(about, { encoding: describeEncoding(encoding), payload: hex(frame.payload) });
    await loadCodecs(encoding);
  }
  addContents(about, tensorsOf(frame, meta, { base, maxMessageBytes: MAX_MESSAGE_BYTES }));
}

function addContents(about: Description, tensors: Tensor[]): void {
  const described = about.tensors as Description[];
  tensors.forEach((tensor, index) => {
    const { dtype, data } = tensor;
    const { buffer, byteOffset, byteLength } = data;
    // A converted copy is no longer what came.
    const isCopy = dtype === "bfloat16" || (dtype === "float16" && data instanceof Float32Array);
    described[index].data = hex(isCopy ? tensor.bytes : new Uint8Array(buffer, byteOffset, byteLength));
  });
}

function describeSignal(signal: Signal): Description {
  const about: Description = {};
  const usual = { durability: "memory", repeated: false, report: false } as Record<string, unknown>;
  for (const [name, value] of Object.entries(signal)) {
    if (name === "positions") {
      Object.assign(about, value.length && { positions: value.map(described) });
    } else if (name !== "opcode" && value !== undefined && value !== usual[name]) {
      about[name] = longAsText(value);
    }
  }
  // Alone of its name with 64 bits, so that the vectors have it as a number.
  return signal.opcode === Opcode.CONFLATED ? { ...about, count: Number(signal.count) } : about;
}

function described(fields: object): Description {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, longAsText(value)]));
}

function longAsText(value: JsonValue): JsonValue {
  return typeof value === "bigint" ? `${value}` : value;
}

function describeExtensions({ region, deadline_ns, identity, quantized, resuming }: Extensions): Description {
  return {
    ...(region && { region: region.map(({ start, count, step }) => [start, count, step].map(String)) }),
    ...(deadline_ns !== undefined && { deadline_ns: `${deadline_ns}` }),
    ...(identity && { identity: [`${identity.producer}`, `${identity.sequence}`] }),
    ...(quantized && { quantized: { ...quantized } }),
    ...(resuming && { resuming }),
  };
}

function describeEncoding({ decoded_bytes, steps }: Encoding): Description {
  return { decoded_bytes: `${decoded_bytes}`, steps: steps.map(({ id, param }) => [id, param]) };
}

function flagNames(flags: number): string[] {
  return Object.entries(Flag).flatMap(([name, bit]) => (flags & bit ? [name] : []));
}

/** Return a value without absent fields, and every integer as `bigint`, whose type would depend on its field otherwise. */
export function present(value: unknown): JsonValue {
  if (typeof value === "number" && Number.isInteger(value)) {
    return BigInt(value);
  }
  if (Array.isArray(value)) {
    return value.map(present);
  }
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value).flatMap(([name, field]) => (field === undefined ? [] : [[name, present(field)]])),
    );
  }
  return value as JsonValue;
}

// --- description to bytes ------------------------------------------------------------------------------------------------

/** Return the WebSocket message of a description. Ignores what follows from the rest, such as `frame_bytes`. */
export function write(frames: readonly Description[]): Uint8Array {
  return joined(frames.flatMap(writeFrame));
}

function writeFrame(frame: Description): Uint8Array[] {
  const opcode = Opcode[frame.opcode as OpcodeName];
  if (isJson(opcode)) {
    return writeSession({ opcode, ...(frame.body as JsonObject) } as unknown as SessionMessage);
  }
  if (isData(opcode)) {
    return writeDescribed(opcode, frame);
  }
  if (opcode === Opcode.CHUNK) {
    const data = bytesFrom(frame.data as string);
    return writeChunk(frame.transfer as number, frame.index as number, [data], encodingOf(frame));
  }
  if (!isSignal(opcode)) {
    throw new Error(`no writer for opcode ${frame.opcode}`);
  }
  const defaults = { durability: "memory", repeated: false, report: false, positions: [] };
  return [writeSignal({ ...defaults, ...(numbered(frame) as object), opcode } as unknown as Signal)];
}

/** Return a description with its integers of 64 bits, which are texts, as `bigint`. */
function numbered(value: JsonValue): unknown {
  if (typeof value === "string" && /^-?\d+$/.test(value)) {
    return BigInt(value);
  }
  if (Array.isArray(value)) {
    return value.map(numbered);
  }
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, numbered(field)]));
  }
  return value;
}

function writeDescribed(opcode: DataOpcode, frame: Description): Uint8Array[] {
  const tensors = frame.tensors as unknown as (Meta["specs"][number] & { readonly data: string })[];
  const plan = frame.plan as JsonObject | undefined;
  let payload: Uint8Array[] = [];
  if (frame.payload !== undefined) {
    payload = [bytesFrom(frame.payload as string)];
  } else if (!plan) {
    payload = tensors.flatMap(({ data }, index) => {
      const bytes = bytesFrom(data);
      return index < tensors.length - 1 ? [bytes, new Uint8Array(-bytes.length & 7)] : [bytes];
    });
  }
  return writeData({
    opcode,
    stream: frame.stream as number,
    publisher: frame.publisher as number,
    offset: BigInt(frame.offset as string),
    timestamp_ns: BigInt(frame.timestamp_ns as string),
    flags: (frame.flags as (keyof typeof Flag)[]).reduce((flags, name) => flags | Flag[name], 0),
    meta: writeMeta(tensors, frame.headers as JsonObject | null),
    count: frame.count as number | undefined,
    plan: plan && {
      transfer: Number(plan.transfer),
      chunk_bytes: Number(plan.chunk_bytes),
      payload_bytes: Number(plan.payload_bytes),
    },
    encoding: encodingOf(frame),
    extensions: extensionsOf(frame.extensions as JsonObject | undefined),
    payload,
  });
}

function extensionsOf(about: JsonObject | undefined): Extensions | undefined {
  if (!about) {
    return undefined;
  }
  const { region, deadline_ns, identity, ...rest } = numbered(about) as {
    region?: [bigint, bigint, bigint][];
    deadline_ns?: bigint;
    identity?: [bigint, bigint];
  };
  return {
    ...rest,
    ...(region && { region: region.map(([start, count, step]) => ({ start, count, step })) }),
    ...(deadline_ns !== undefined && { deadline_ns }),
    ...(identity && { identity: { producer: identity[0], sequence: identity[1] } }),
  };
}

function encodingOf(frame: Description): Encoding | undefined {
  const about = frame.encoding as { decoded_bytes: string; steps: [number, number][] } | undefined;
  const steps = about?.steps.map(([id, param]): CodecStep => ({ id, param }));
  return about && steps && { decoded_bytes: Number(about.decoded_bytes), steps };
}

/** Return bytes as hexadecimal digits. */
export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** Return bytes from hexadecimal digits, in memory of their own. */
export function bytesFrom(digits: string): Uint8Array {
  return new Uint8Array(Buffer.from(digits, "hex"));
}
