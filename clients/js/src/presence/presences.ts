/** Presences of a client, kept over connections (`spec/client.md`, section 10). */

import { onDropped } from "../dropped.ts";
import { Code, ConnectionFailed, InvalidArgument, RequestRefused, RequestTimeout, UsageError } from "../errors.ts";
import type { Part } from "../lazy_part.ts";
import { checkOptions } from "../option_fault.ts";
import { checkScope } from "../protocol/addresses.ts";
import type { JsonObject } from "../protocol/exact_json.ts";
import { type Attend, type Attending, WATCHINGS, type Watching } from "../protocol/presence.ts";
import { Opcode } from "../protocol/wire.ts";
import type { Clock } from "../session/clock.ts";
import type { Connection } from "../session/connection.ts";
import type { Session } from "../session/session.ts";
import { TimeLimit } from "../session/time_limit.ts";
import type { Inbound } from "../session/wire.ts";
import { Presence, type PresenceControl, PresenceCore } from "./presence.ts";

/** Time between two awarenesses of a scope. */
const SHOW_INTERVAL_MS = 50;
/** Time for which an awareness is shown again on a new connection. */
const AWARENESS_KEPT_MS = 30_000;
/** Number of a request whose answer nobody awaits. */
const NOT_AWAITED = 0;

/** Options of a presence. */
export interface PresenceOptions {
  /** Metadata of this client as a member; absent: it only watches. */
  readonly metadata?: JsonObject;
  /** Changes to be told: all of the members, as by default, or their number, or with null neither. */
  readonly watch?: Watching | null;
}

export class Presences implements Part, PresenceControl {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #open = new Map<string, PresenceCore>();

  constructor(connection: Connection, clock: Clock, timeoutMs: number) {
    this.#connection = connection;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /** Open a presence, and wait until the members are known; errors as `Client.presence`. */
  async start(scope: string, options: PresenceOptions): Promise<Presence> {
    checkOptions("presence", options, "j metadata;r watch");
    const { metadata, watch = "members" } = options;
    if (watch !== null && !WATCHINGS.includes(watch)) {
      throw new InvalidArgument(`watch '${watch}' is none: use one of ${WATCHINGS.join(", ")}, or null`);
    }
    const core = new PresenceCore(checkScope(scope), metadata, watch ?? undefined);
    if (this.#open.has(scope)) {
      throw new UsageError(`this client has a presence of ${scope} open already: update it, or close it first`);
    }
    const present = this.#connection.ready;
    this.#open.set(scope, core);
    if (present) {
      void this.#attend(present, core);
    } // otherwise the next session attends
    await core.known();
    const error = core.error ?? this.#connection.error;
    if (error) {
      throw error;
    }
    const handle = new Presence(core, this);
    this.#leaveDropped(handle, core);
    return handle;
  }

  #leaveDropped(handle: Presence, core: PresenceCore): void {
    onDropped(handle, () => this.stop(core));
  }

  async stop(core: PresenceCore): Promise<void> {
    const { scope } = core;
    core.end();
    if (this.#open.get(scope) !== core) {
      return;
    }
    this.#open.delete(scope);
    const { session } = this.#connection;
    if (session?.open) {
      try {
        await session.ask((request) => ({ opcode: Opcode.ATTEND, request, scope }));
      } catch {
        // Lost or refused, the client has no part in the scope any more.
      }
    }
  }

  async update(core: PresenceCore, metadata: JsonObject | null, timeoutMs = this.#timeoutMs): Promise<void> {
    if (this.#open.get(core.scope) !== core) {
      throw new UsageError(`the presence of ${core.scope} is not open`);
    }
    const before = core.metadata;
    core.metadata = metadata ?? undefined;
    let passed = (): void => undefined;
    const late = new Promise<never>((_, reject) => {
      passed = () => reject(new RequestTimeout(`the metadata for ${core.scope} were not answered in time`));
    });
    const limit = new TimeLimit(this.#clock, timeoutMs, () => passed());
    try {
      await Promise.race([this.#asked(core), late]);
    } catch (error) {
      if (error instanceof RequestRefused && core.metadata === (metadata ?? undefined)) {
        core.metadata = before;
      }
      throw error;
    } finally {
      limit.stop();
      late.catch(() => undefined);
    }
  }

  async #asked(core: PresenceCore): Promise<void> {
    try {
      await this.#ask(await this.#connection.whenReady(), core);
    } catch (error) {
      if (!(error instanceof ConnectionFailed)) {
        throw error;
      }
      await this.#connection.whenReady(); // the next session has asked again, or the client is closed
    }
  }

  show(core: PresenceCore, state: JsonObject | null): void {
    core.state = state ?? undefined;
    core.shownMs = this.#clock.nowMs();
    core.unsent = true;
    if (!core.resting) {
      this.#sendState(core);
    }
  }

  /** Attend all scopes again on a new session. */
  attached(session: Session): void {
    for (const core of this.#open.values()) {
      core.unsent = core.shownMs !== undefined && this.#clock.nowMs() < core.shownMs + AWARENESS_KEPT_MS;
      void this.#attend(session, core);
    }
  }

  detached(): void {
    for (const core of this.#open.values()) {
      core.answered = false;
    }
  }

  /** Handle MEMBERS; those before the ATTENDING are of an earlier presence of the scope. */
  received(item: Inbound): boolean {
    if (item.opcode !== Opcode.MEMBERS) {
      return false;
    }
    const core = this.#open.get(item.scope);
    if (core?.answered) {
      const changed = core.roster.take(item);
      for (const queue of core.queues) {
        queue.note(changed);
      }
      core.wake();
    }
    return true;
  }

  /** Leave every ERROR to the client: one that names a scope is reported. */
  refused(): boolean {
    return false;
  }

  /** Leave all scopes: the client closes, and waits for no answer. */
  signOff(): void {
    const { session } = this.#connection;
    for (const scope of session?.open ? this.#open.keys() : []) {
      session?.tell({ opcode: Opcode.ATTEND, request: NOT_AWAITED, scope });
    }
  }

  /** End all presences: the client is closed. */
  close(error: Error, byProgram: boolean): void {
    for (const core of this.#open.values()) {
      core.end(byProgram ? undefined : error);
    }
    this.#open.clear();
  }

  async #attend(session: Session, core: PresenceCore): Promise<void> {
    try {
      await this.#ask(session, core);
    } catch (error) {
      const refused = error instanceof RequestRefused && error.code !== Code.DRAINING;
      if (refused && this.#open.get(core.scope) === core) {
        this.#open.delete(core.scope);
        core.end(error);
      } // otherwise the session has ended, and the next one attends
    }
  }

  async #ask(session: Session, core: PresenceCore): Promise<void> {
    const { scope, metadata, watch } = core;
    const attend = (request: number): Attend => ({ opcode: Opcode.ATTEND, request, scope, metadata, watch });
    // The members may come in the same WebSocket message as the answer.
    await session.ask<Attending>(attend, ({ count }) => {
      core.answered = true;
      core.roster.count = count;
      core.wake();
      if (core.unsent && !core.resting) {
        this.#sendState(core);
      }
      return false;
    });
  }

  #sendState(core: PresenceCore): void {
    const { session } = this.#connection;
    if (!session?.open || !core.answered || !core.metadata) {
      return; // it goes out with the next answer
    }
    core.unsent = false;
    core.resting = true;
    session.tell({ opcode: Opcode.AWARENESS, scope: core.scope, state: core.state });
    this.#clock.after(SHOW_INTERVAL_MS, () => {
      core.resting = false;
      if (core.unsent && !core.over) {
        this.#sendState(core);
      }
    });
  }
}
