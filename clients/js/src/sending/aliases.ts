/** Aliases of the present connection: numbers by which it names streams and addresses (spec section 4.1). */

import type { StreamInfo } from "../protocol/messages.ts";
import type { Session } from "../session/session.ts";
import type { Declaration } from "./declaration.ts";
import type { OutboundMessage } from "./outbound_message.ts";

/** Aliases of a connection whose gateway does not tell how many it takes. */
const DEFAULT_MAX_ALIASES = 4096;

/** Queue that owns aliases. */
export interface AliasOwner {
  /** Whether nothing waits to be sent under the alias. */
  readonly idle: boolean;
  /** The gateway has answered OPEN, or told the end of the stream. */
  opened(alias: Alias): void;
  refused(alias: Alias): void;
  ended(alias: Alias): void;
  /** The alias now belongs to another queue. */
  released(alias: Alias): void;
}

export class Alias {
  readonly number: number;
  readonly session: Session;
  readonly owner: AliasOwner;
  readonly declared: Declaration;
  /** Answer to OPEN. */
  info: StreamInfo | undefined;
  /** Whether OPEN was answered, by STREAM or by ERROR. */
  answered = false;
  /** Payload bytes whose acknowledgement is awaited. */
  awaitingBytes = 0;
  readonly #awaiting = new Map<bigint, OutboundMessage>();

  constructor(number: number, session: Session, owner: AliasOwner, declared: Declaration) {
    this.number = number;
    this.session = session;
    this.owner = owner;
    this.declared = declared;
  }

  /** Messages that await an answer, in the order of their sequences. */
  get awaiting(): OutboundMessage[] {
    return [...this.#awaiting.values()];
  }

  /** Whether messages await an answer. */
  get isAwaiting(): boolean {
    return this.#awaiting.size > 0;
  }

  /** Await the answer to a message. */
  expect(sequence: bigint, message: OutboundMessage): void {
    this.#awaiting.set(sequence, message);
    this.awaitingBytes += message.payloadBytes;
  }

  /** Take the messages of a run of sequences out of those that await an answer. */
  take(last: bigint, count: number): [sequence: bigint, message: OutboundMessage][] {
    const first = last - BigInt(count) + 1n;
    const found: [bigint, OutboundMessage][] = [];
    // A run may be longer than what is awaited: publishes that nobody awaits have sequences as well.
    const sequences =
      count <= this.#awaiting.size
        ? Array.from({ length: count }, (_, index) => first + BigInt(index))
        : [...this.#awaiting.keys()].filter((sequence) => sequence >= first && sequence <= last);
    for (const sequence of sequences) {
      const message = this.#awaiting.get(sequence);
      if (message) {
        this.#awaiting.delete(sequence);
        this.awaitingBytes -= message.payloadBytes;
        found.push([sequence, message]);
      }
    }
    return found;
  }
}

export class Aliases {
  #session: Session | undefined;
  #max = DEFAULT_MAX_ALIASES;
  /** Aliases by number, the least recently used one first. */
  readonly #aliases = new Map<number, Alias>();

  /** Begin a connection. */
  begin(session: Session): void {
    this.#session = session;
    this.#max = session.welcome.limits.max_aliases ?? DEFAULT_MAX_ALIASES;
    this.#aliases.clear();
  }

  /** Return the alias of a number on the present connection. */
  get(number: number): Alias | undefined {
    return this.#aliases.get(number);
  }

  /** Return whether an alias still belongs to its owner. */
  has(alias: Alias | undefined): alias is Alias {
    return alias !== undefined && this.#aliases.get(alias.number) === alias && alias.session === this.#session;
  }

  /** Take note that an alias is used. */
  used(alias: Alias): void {
    this.#aliases.delete(alias.number);
    this.#aliases.set(alias.number, alias);
  }

  /** Return a new alias; undefined: all have something outstanding. */
  take(session: Session, owner: AliasOwner, declared: Declaration): Alias | undefined {
    const number = this.#aliases.size < this.#max ? this.#aliases.size : this.#released();
    if (number === undefined) {
      return undefined;
    }
    const alias = new Alias(number, session, owner, declared);
    this.#aliases.set(number, alias);
    return alias;
  }

  #released(): number | undefined {
    for (const [number, alias] of this.#aliases) {
      if (alias.answered && !alias.isAwaiting && alias.owner.idle) {
        this.#aliases.delete(number);
        alias.owner.released(alias);
        return number;
      }
    }
    return undefined;
  }
}
