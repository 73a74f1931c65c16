/**
 * Partial transfers: large messages that are on their way, and those that a lost connection has left (spec section 6).
 *
 * Knows heads and chunks; does not know subscriptions.
 */

import { Code, RequestRefused } from "../errors.ts";
import type { DataFrame } from "../protocol/data.ts";
import type { Meta } from "../protocol/meta.ts";
import { Assembler } from "../protocol/transfers.ts";
import type { Decoded, Resumable } from "../session/wire.ts";
import type { Version } from "./versions.ts";

/** Large messages that may be on their way on one connection (spec section 13). */
const MAX_TRANSFERS = 64;

/** Large message on its way. */
export interface Transfer {
  readonly frame: DataFrame;
  readonly meta: Meta;
  readonly assembler: Assembler;
  /** Version that was newest at the head, to which chunks may be deltas. */
  readonly base: Version | undefined;
  /** Name of the stream if another connection may bring the rest; undefined of views, patches, requests and replies. */
  readonly resumableAs: string | undefined;
  /** Cost of decoding its chunks so far, on this connection. */
  decoded?: Decoded | undefined;
}

/** Transfers of the present connection, and the most advanced one of each stream that the last connection has left. */
export class PartialTransfers {
  readonly #open = new Map<number, Transfer>();
  readonly #left = new Map<number, Transfer>();

  /** Return the transfer of this number that is on its way. */
  get(transfer: number): Transfer | undefined {
    return this.#open.get(transfer);
  }

  /**
   * Begin a transfer, or go on with the one that its head resumes.
   *
   * @throws RequestRefused `BROKEN_TRANSFER`, its first chunks are not here; `LIMIT_EXCEEDED`; `MESSAGE_TOO_BIG`.
   */
  begin(begun: Omit<Transfer, "assembler">, maxMessageBytes: number): void {
    const { plan } = begun.frame;
    if (!plan) {
      return;
    }
    if (this.#open.size >= MAX_TRANSFERS) {
      throw new RequestRefused(Code.LIMIT_EXCEEDED, `more than ${MAX_TRANSFERS} large messages on their way at once`);
    }
    const resuming = begun.frame.extensions?.resuming && begun.resumableAs !== undefined;
    const assembler = resuming ? this.#resumed(begun) : new Assembler(plan, maxMessageBytes);
    this.#open.set(plan.transfer, { ...begun, assembler });
  }

  #resumed({ frame }: Omit<Transfer, "assembler">): Assembler {
    const transfer = frame.plan?.transfer ?? 0;
    const left = this.#left.get(transfer);
    this.#left.delete(transfer);
    if (!left || !isSameMessage(left.frame, frame)) {
      throw new RequestRefused(
        Code.BROKEN_TRANSFER,
        `transfer ${transfer} is resumed, and its first chunks are not here`,
      );
    }
    return left.assembler;
  }

  /** End a transfer, and return it. */
  end(transfer: number): Transfer | undefined {
    const found = this.#open.get(transfer);
    this.#open.delete(transfer);
    return found;
  }

  /** Forget a partial message of a stream: a newer version has come, or nobody wants it. */
  forget(stream: string): void {
    for (const [transfer, { resumableAs }] of this.#left) {
      if (resumableAs === stream) {
        this.#left.delete(transfer);
      }
    }
  }

  /** End a connection; returns the first missing chunk of what may go on on the next one. */
  leave(): Resumable {
    this.#left.clear();
    const resumable: Record<string, readonly [number, number]> = {};
    for (const [number, transfer] of this.#open) {
      const { resumableAs: stream, assembler } = transfer;
      const best = stream === undefined ? undefined : resumable[stream]?.[1];
      if (stream !== undefined && assembler.nextIndex > (best ?? 0)) {
        if (best !== undefined) {
          this.#left.delete(resumable[stream][0]);
        }
        resumable[stream] = [number, assembler.nextIndex];
        this.#left.set(number, transfer);
      }
    }
    this.#open.clear();
    return resumable;
  }
}

function isSameMessage(one: DataFrame, other: DataFrame): boolean {
  return (
    one.plan?.chunk_bytes === other.plan?.chunk_bytes &&
    one.plan?.payload_bytes === other.plan?.payload_bytes &&
    one.publisher === other.publisher &&
    one.timestamp_ns === other.timestamp_ns &&
    one.meta.byteLength === other.meta.byteLength &&
    one.meta.every((byte, index) => byte === other.meta[index])
  );
}
