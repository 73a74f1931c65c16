/** Batcher: messages of `publishNowait` of one turn of the event loop, joined to record batches (`spec/client.md`, section 4). */

import { bytesOf, joined } from "../protocol/buffers.ts";
import type { Kind } from "../protocol/messages.ts";
import { type Content, heldBytesOf } from "./content.ts";
import type { CodecName } from "./outbound_message.ts";

/** Bytes and records at which a batch is sent before the end of the turn. */
const MAX_BATCH_BYTES = 64 * 1024;
const MAX_BATCH_RECORDS = 8192;

/** Message, or batch of `count` messages, that is ready to be sent. */
export interface Ready {
  readonly stream: string;
  readonly kind: Kind | undefined;
  readonly codec: CodecName;
  readonly content: Content;
  /** Number of records; undefined: a single message. */
  readonly count: number | undefined;
  /** Time of the first call. */
  readonly calledNs: bigint;
}

type Single = Omit<Ready, "count">;

interface Run {
  readonly first: Single;
  readonly payloads: Uint8Array[];
  bytes: number;
  heldBytes: number;
}

export class Batcher {
  readonly #ready: (ready: Ready) => void;
  readonly #runs = new Map<string, Run>();
  #scheduled = false;
  /** Memory of what is collected. */
  heldBytes = 0;

  constructor(ready: (ready: Ready) => void) {
    this.#ready = ready;
  }

  /** Collect a message. */
  add(message: Single): void {
    const { stream, content } = message;
    let run = this.#runs.get(stream);
    if (!run || !isAlike(run.first, message)) {
      this.flush(stream);
      run = { first: message, payloads: [], bytes: 0, heldBytes: 0 };
      this.#runs.set(stream, run);
    }
    const heldBytes = heldBytesOf(content);
    run.payloads.push(content.payload);
    run.bytes += content.payload.byteLength;
    run.heldBytes += heldBytes;
    this.heldBytes += heldBytes;
    if (run.bytes > MAX_BATCH_BYTES || run.payloads.length >= MAX_BATCH_RECORDS) {
      this.flush(stream);
    }
    if (!this.#scheduled) {
      this.#scheduled = true;
      queueMicrotask(() => {
        this.#scheduled = false;
        this.flushAll();
      });
    }
  }

  /** Send what is collected of a stream: a `publish` to it follows. */
  flush(stream: string): void {
    const run = this.#runs.get(stream);
    if (run) {
      this.#runs.delete(stream);
      this.heldBytes -= run.heldBytes;
      this.#send(run);
    }
  }

  flushAll(): void {
    for (const stream of [...this.#runs.keys()]) {
      this.flush(stream);
    }
  }

  #send({ first, payloads }: Run): void {
    const count = payloads.length > 1 ? payloads.length : undefined;
    const payload = count === undefined ? first.content.payload : joined(payloads);
    this.#ready({ ...first, content: { ...first.content, payload }, count });
  }
}

/** Return whether messages can be records of one batch. */
function isAlike(one: Single, other: Single): boolean {
  const [a, b] = [one.content, other.content];
  return (
    one.kind === other.kind &&
    one.codec === other.codec &&
    a.headers === null &&
    b.headers === null &&
    a.specs.length === 1 &&
    b.specs.length === 1 &&
    a.specs[0].name === "" &&
    bytesOf([a.meta]) === bytesOf([b.meta]) &&
    a.meta.every((byte, index) => byte === b.meta[index])
  );
}
