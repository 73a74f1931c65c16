/** Lazy parts: parts of a client whose code is loaded when the program first uses it. */

import { ConnectionFailed } from "./errors.ts";
import type { Refusal } from "./protocol/messages.ts";
import type { Connection } from "./session/connection.ts";
import type { Session } from "./session/session.ts";
import type { Inbound } from "./session/wire.ts";

/** Part of a client: what it does with the sessions of the connection, and with frames of the gateway. */
export interface Part {
  /** Send everything again: a session stands. */
  attached(session: Session): void;
  detached(): void;
  /** Handle a frame; returns whether it was for this part. */
  received(item: Inbound): boolean;
  /** Handle an ERROR; returns whether it was for this part. */
  refused(error: Refusal): boolean;
  /** End everything with an error: the client is closed. */
  close(error: ConnectionFailed, byProgram: boolean): void;
}

export class LazyPart<T> {
  readonly #connection: Connection;
  readonly #name: string;
  readonly #make: () => Promise<T>;
  readonly #made: (part: T) => void;
  #part: T | undefined;
  #loading: Promise<T> | undefined;

  /**
   * @param name what the program wants to do by it, for errors.
   * @param make imports the code, and makes the part.
   * @param made called as soon as the part is there.
   */
  constructor(connection: Connection, name: string, make: () => Promise<T>, made: (part: T) => void = () => undefined) {
    this.#connection = connection;
    this.#name = name;
    this.#make = make;
    this.#made = made;
  }

  /** The part, if it is there. */
  get loaded(): T | undefined {
    return this.#part;
  }

  /**
   * Load the part, once there is a connection.
   *
   * @throws ConnectionFailed it cannot be loaded, or the client is closed. The next call tries again.
   */
  load(): Promise<T> {
    this.#loading ??= this.#load().catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  async #load(): Promise<T> {
    // Without a network the import would fail as well, and some browsers never try a failed one again.
    await this.#connection.whenReady();
    let part: T;
    try {
      part = await this.#make();
    } catch (error) {
      throw new ConnectionFailed(`the code to ${this.#name} cannot be loaded: ${error}; load the page anew`);
    }
    if (this.#connection.error) {
      throw this.#connection.error;
    }
    this.#part = part;
    this.#made(part);
    return part;
  }
}
