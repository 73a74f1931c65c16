/**
 * Decoder: WebSocket messages in, complete and decoded messages out (spec sections 2, 5, 6 and 10).
 *
 * One decoder lives as long as its client, so that versions of states and partial messages outlive connections. It keeps the
 * order of the connection: where a compressor has to be loaded first, everything behind it waits.
 */

import { Code, PeerError, ProtocolViolation, RequestRefused, UsageError } from "../errors.ts";
import { checksumOf } from "../protocol/checksum.ts";
import { checkDeclared } from "../protocol/contents.ts";
import { type DataFrame, decodedBytes, parseData } from "../protocol/data.ts";
import { decode, distanceOf, loadCodecs } from "../protocol/encoding.ts";
import { bodyOf, type Frame, iterFrames } from "../protocol/frames.ts";
import { DEFAULT_LIMITS } from "../protocol/limits.ts";
import type { StreamInfo } from "../protocol/messages.ts";
import { type Meta, parseMeta } from "../protocol/meta.ts";
import { parseSession } from "../protocol/session_body.ts";
import { type End, isSignal, parseSignal, type Signal } from "../protocol/signals.ts";
import { parseChunk } from "../protocol/transfers.ts";
import { isData, isJson, Opcode } from "../protocol/wire.ts";
import type { Clock } from "../session/clock.ts";
import type { AppliedPatch, Arrival, Failure, Inbound, Resumable } from "../session/wire.ts";
import { PartialTransfers, type Transfer } from "./partial_transfers.ts";
import { patched, type Version, Versions } from "./versions.ts";

/** Options of a decoder. */
export interface DecoderOptions {
  /** Size of the largest decoded message. */
  readonly maxMessageBytes?: number;
  /** True if payloads are handed to another thread, which takes their memory: then versions are kept as copies. */
  readonly handsOver?: boolean;
}

/** Stream of the present connection. */
interface Source {
  readonly name: string;
  readonly epoch: number;
  readonly isState: boolean;
  /** True of a view or an observed stream, which has another id on the next connection. */
  readonly isView: boolean;
  /** Key of its version. */
  readonly key: string;
}

const VIEW_MARK = "#";

export class Decoder {
  readonly #clock: Clock;
  readonly #maxMessageBytes: number;
  readonly #handsOver: boolean;
  readonly #sources = new Map<number, Source>();
  readonly #versions = new Versions();
  readonly #transfers = new PartialTransfers();

  constructor(clock: Clock, options: DecoderOptions = {}) {
    this.#clock = clock;
    this.#maxMessageBytes = options.maxMessageBytes ?? DEFAULT_LIMITS.max_message_bytes;
    this.#handsOver = options.handsOver ?? false;
  }

  /**
   * Yield the items of one WebSocket message; a promise among them has to be awaited before the iteration goes on.
   *
   * @throws ProtocolViolation the connection has to be closed with its code.
   */
  *decode(message: Uint8Array): Generator<Inbound | Promise<void>, void, undefined> {
    for (const frame of iterFrames(message)) {
      if (isData(frame.opcode)) {
        yield* this.#data(message, frame);
      } else if (frame.opcode === Opcode.CHUNK) {
        yield* this.#chunk(message, frame);
      } else {
        const item = this.#other(message, frame);
        if (item) {
          yield item;
        }
      }
    }
  }

  /** End a connection: the ids of its streams are void. Returns the large messages that the next one may continue. */
  leave(): Resumable {
    this.#sources.clear();
    this.#versions.forgetIf((key) => key.startsWith(VIEW_MARK));
    return this.#transfers.leave();
  }

  /** Forget all that is kept of streams that nobody receives any more. */
  forget(streams: readonly string[]): void {
    for (const stream of streams) {
      this.#versions.forget(stream);
      this.#transfers.forget(stream);
    }
  }

  #other(message: Uint8Array, frame: Frame): Inbound | undefined {
    try {
      if (isJson(frame.opcode)) {
        const parsed = parseSession(frame.opcode, bodyOf(message, frame));
        if (parsed.opcode === Opcode.STREAM) {
          this.#announced(parsed);
        }
        return parsed;
      }
      return isSignal(frame.opcode) ? this.#signal(parseSignal(message, frame)) : undefined;
    } catch (error) {
      return failureOf(error, {});
    }
  }

  #announced({ id, stream, kind, epoch = 0, alias, ended, subscription }: StreamInfo): void {
    if (id === null || alias !== undefined) {
      return;
    }
    if (ended !== undefined) {
      const source = this.#sources.get(id);
      this.#sources.delete(id);
      if (source && this.#versions.of(source.key, epoch)) {
        this.#versions.forget(source.key);
      }
      return;
    }
    const isView = subscription !== undefined;
    const key = isView ? `${VIEW_MARK}${id}` : stream;
    this.#sources.set(id, { name: stream, epoch, isState: kind === "state", isView, key });
  }

  #signal(signal: Signal): Inbound {
    if (signal.opcode === Opcode.END) {
      const transfer = this.#transfers.end(signal.transfer);
      return transfer ? this.#finished(transfer, signal) : signal;
    }
    if (signal.opcode === Opcode.ABORT) {
      this.#transfers.end(signal.transfer);
    }
    return signal;
  }

  *#data(message: Uint8Array, frame: Frame): Generator<Inbound | Promise<void>, void, undefined> {
    let data: DataFrame | undefined;
    try {
      data = parseData(message, frame);
      const meta = parseMeta(data.meta);
      checkDeclared(data, meta, this.#maxMessageBytes);
      if (data.plan) {
        yield* this.#head(data, meta);
        return;
      }
      const loading = loadCodecs(data.encoding);
      if (loading) {
        yield loaded(loading);
      }
      yield this.#whole(data, meta);
    } catch (error) {
      yield this.#failed(error, data);
    }
  }

  *#head(data: DataFrame, meta: Meta): Generator<Inbound, void, undefined> {
    const { opcode, stream, publisher, offset, plan } = data;
    const isStream = opcode === Opcode.MESSAGE || opcode === Opcode.BATCH;
    const source = isStream ? this.#sources.get(stream) : undefined;
    const { transfer = 0, payload_bytes = 0 } = plan ?? {};
    yield { opcode: "head", of: opcode, stream, publisher, correlation: offset, transfer, payload_bytes };
    if (source?.isState && !source.isView && !data.extensions?.resuming) {
      this.#transfers.forget(source.name);
    }
    const resumableAs = source && !source.isView && !data.extensions?.region ? source.name : undefined;
    const base = source && this.#versions.of(source.key, source.epoch);
    // The frame is kept beyond its WebSocket message.
    const frame = { ...data, meta: data.meta.slice(), payload: data.payload.slice() };
    this.#transfers.begin({ frame, meta, base, resumableAs }, this.#maxMessageBytes);
  }

  *#chunk(message: Uint8Array, frame: Frame): Generator<Inbound | Promise<void>, void, undefined> {
    let transfer: Transfer | undefined;
    try {
      const chunk = parseChunk(message, frame);
      transfer = this.#transfers.get(chunk.transfer);
      if (!transfer) {
        return; // the other side may have ended it
      }
      const loading = loadCodecs(chunk.encoding);
      if (loading) {
        yield loaded(loading);
      }
      const distance = chunk.encoding ? distanceOf(chunk.encoding) : 0;
      const base = distance ? baseOf(transfer.base, transfer.frame.offset - BigInt(distance)) : undefined;
      const begunMs = this.#clock.nowMs();
      transfer.assembler.receive(chunk, base);
      if (chunk.encoding?.steps.length) {
        const { bytes, ms } = transfer.decoded ?? { bytes: 0, ms: 0 };
        const spentMs = this.#clock.nowMs() - begunMs;
        transfer.decoded = { bytes: bytes + chunk.encoding.decoded_bytes, ms: ms + spentMs };
      }
      const { opcode, publisher, offset } = transfer.frame;
      if (opcode === Opcode.REPLY) {
        yield { opcode: "progress", publisher, correlation: offset };
      }
    } catch (error) {
      if (transfer?.frame.plan) {
        this.#transfers.end(transfer.frame.plan.transfer);
      }
      yield this.#failed(error, transfer?.frame);
    }
  }

  #finished({ frame, meta, assembler, decoded }: Transfer, end: End): Inbound {
    try {
      const payload = assembler.payload();
      if (end.checksum !== undefined && checksumOf([payload]) !== end.checksum) {
        throw new RequestRefused(Code.CORRUPT_PAYLOAD, "the payload does not have the checksum of its END");
      }
      const stream = frame.opcode === Opcode.MESSAGE || frame.opcode === Opcode.BATCH;
      const arrived = this.#arrived({ ...frame, offset: stream ? end.offset : frame.offset }, meta, payload);
      return decoded ? { ...arrived, decoded } : arrived;
    } catch (error) {
      return this.#failed(error, { ...frame, offset: end.offset });
    }
  }

  #whole(data: DataFrame, meta: Meta): Arrival {
    const source = this.#sourceOf(data);
    const distance = data.encoding ? distanceOf(data.encoding) : 0;
    const newest = source && this.#versions.of(source.key, source.epoch);
    const base = distance ? baseOf(newest, data.offset - BigInt(distance)) : undefined;
    if (!data.encoding) {
      return this.#arrived(data, meta, data.payload);
    }
    const begunMs = this.#clock.nowMs();
    const payload = decode(data.encoding, data.payload, base);
    const spentMs = this.#clock.nowMs() - begunMs;
    const arrived = this.#arrived(data, meta, payload);
    // A chain without steps is a plain payload, which costs nothing.
    return data.encoding.steps.length ? { ...arrived, decoded: { bytes: payload.byteLength, ms: spentMs } } : arrived;
  }

  #arrived(data: DataFrame, meta: Meta, payload: Uint8Array): Arrival {
    const source = this.#sourceOf(data);
    const { opcode, flags, stream, publisher, offset, timestamp_ns, count, plan, extensions } = data;
    const complete = source?.isState
      ? this.#version(source, data, meta, payload)
      : { specs: meta.specs, payload, patch: undefined };
    return {
      opcode,
      flags,
      stream,
      publisher,
      offset,
      timestamp_ns,
      count,
      headers: meta.headers,
      ...complete,
      extensions,
      transfer: plan?.transfer,
      arrived_ns: this.#clock.localNs(),
    };
  }

  /** Keep a version of a state; returns it as the program gets it. */
  #version(
    source: Source,
    data: DataFrame,
    meta: Meta,
    received: Uint8Array,
  ): Pick<Arrival, "specs" | "payload" | "patch"> {
    const { epoch, key } = source;
    const region = data.extensions?.region;
    let { specs } = meta;
    let payload = received;
    let patch: AppliedPatch | undefined;
    if (region) {
      const before = this.#versions.of(key, epoch);
      if (before?.offset !== data.offset - 1n || specs.length !== 1) {
        throw new RequestRefused(Code.CORRUPT_PAYLOAD, `patch ${data.offset} changes a version that is not here`);
      }
      payload = patched(before, specs[0], region, received);
      patch = { spec: specs[0], extents: region, payload: received };
      specs = before.specs;
    }
    const last = BigInt((data.count ?? 1) - 1);
    const record = data.count === undefined ? payload : payload.subarray(payload.byteLength - meta.payload_bytes);
    const kept = this.#handsOver ? record.slice() : record;
    this.#versions.keep(key, { epoch, offset: data.offset + last, specs, headers: meta.headers, payload: kept });
    return { specs, payload, patch };
  }

  #sourceOf({ opcode, stream }: DataFrame): Source | undefined {
    return opcode === Opcode.MESSAGE || opcode === Opcode.BATCH ? this.#sources.get(stream) : undefined;
  }

  #failed(error: unknown, frame: DataFrame | undefined): Failure {
    const source = frame && this.#sourceOf(frame);
    const needsKeyframe = source?.isState === true;
    if (source && needsKeyframe) {
      this.#versions.forget(source.key);
    }
    return failureOf(error, {
      ...(frame && {
        of: frame.opcode,
        stream: frame.stream,
        publisher: frame.publisher,
        offset: frame.offset,
        count: frame.count ?? 1,
        declared_bytes: decodedBytes(frame),
        transfer: frame.plan?.transfer,
      }),
      needs_keyframe: needsKeyframe,
    });
  }
}

function baseOf(version: Version | undefined, offset: bigint): Uint8Array | undefined {
  return version?.offset === offset ? version.payload : undefined;
}

/** Return a promise that is done when a compressor is loaded, or cannot be: decoding then says so. */
async function loaded(loading: Promise<void>): Promise<void> {
  await loading.catch(() => undefined);
}

function failureOf(error: unknown, found: Partial<Failure>): Failure {
  if (error instanceof ProtocolViolation || !(error instanceof PeerError || error instanceof UsageError)) {
    throw error;
  }
  const base = { stream: 0, publisher: 0, offset: 0n, count: 1, declared_bytes: 0, needs_keyframe: false };
  return {
    opcode: "failure",
    ...base,
    ...found,
    code: error instanceof PeerError ? error.code : Code.UNKNOWN_CODEC,
    problem: error instanceof PeerError ? error.problem : error.message,
  };
}
