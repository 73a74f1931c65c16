/** Aliases of the present connection: numbers by which it names streams and addresses (spec section 4.1). */

import type { RequestRefused } from "../errors.ts";
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
  refused(alias: Alias, error: RequestRefused): void;
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
  /** Messages that await an answer, by sequence, in order. */
  readonly awaiting = new Map<bigint, OutboundMessage>();

  constructor(number: number, session: Session, owner: AliasOwner, declared: Declaration) {
    this.number = number;
    this.session = session;
    this.owner = owner;
    this.declared = declared;
  }

  /** Payload bytes whose acknowledgement is awaited. */
  get awaitingBytes(): number {
    let bytes = 0;
    for (const { payloadBytes } of this.awaiting.values()) {
      bytes += payloadBytes;
    }
    return bytes;
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
      if (alias.answered && !alias.awaiting.size && alias.owner.idle) {
        this.#aliases.delete(number);
        alias.owner.released(alias);
        return number;
      }
    }
    return undefined;
  }
}
