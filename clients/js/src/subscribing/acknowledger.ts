/** Acknowledgements of one turn of the event loop, sent together at its end (spec section 7.4). */

import { Opcode } from "../protocol/wire.ts";
import type { Session } from "../session/session.ts";
import { Ranges } from "./ranges.ts";

/** Way out of acknowledgements. */
export interface AckOutlet {
  /** Session that stands. */
  readonly session: Session | undefined;
  /** Return the number of a stream on that session, if it is known. */
  idOf(stream: string, epoch: number): number | undefined;
}

interface Collected {
  readonly stream: string;
  readonly epoch: number;
  readonly code: number;
  readonly ranges: Ranges;
}

export class Acknowledger {
  readonly #outlet: AckOutlet;
  #collected = new Map<string, Collected>();

  constructor(outlet: AckOutlet) {
    this.#outlet = outlet;
  }

  /** Acknowledge (code 0) or refuse offsets at the end of this turn. */
  add(stream: string, epoch: number, code: number, first: bigint, last: bigint): void {
    if (!this.#collected.size) {
      queueMicrotask(() => this.flush());
    }
    const key = `${code} ${epoch} ${stream}`;
    let found = this.#collected.get(key);
    if (!found) {
      found = { stream, epoch, code, ranges: new Ranges() };
      this.#collected.set(key, found);
    }
    found.ranges.add(first, last);
  }

  /** Report now that messages are in progress, behind the acknowledgements of this turn. */
  report(stream: string, epoch: number, ranges: Iterable<readonly [first: bigint, last: bigint]>): void {
    this.flush();
    const { session } = this.#outlet;
    const id = this.#outlet.idOf(stream, epoch);
    if (session?.open && id !== undefined) {
      for (const [first, last] of ranges) {
        session.signal({ opcode: Opcode.IN_PROGRESS, stream: id, first, last });
      }
    }
  }

  /** Send everything now. Without a connection it is dropped: the messages will be delivered again. */
  flush(): void {
    const collected = this.#collected;
    this.#collected = new Map();
    const { session } = this.#outlet;
    if (!session?.open) {
      return;
    }
    for (const { stream, epoch, code, ranges } of collected.values()) {
      const id = this.#outlet.idOf(stream, epoch);
      if (id !== undefined) {
        for (const [first, last] of ranges) {
          session.signal({ opcode: Opcode.DONE, stream: id, code, first, last });
        }
      }
    }
  }
}
