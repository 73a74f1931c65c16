/** Presence of a client in a scope, as the program holds it (`spec/client.md`, section 10). */

import { UsageError } from "../errors.ts";
import { checkOptions } from "../option_fault.ts";
import type { JsonObject } from "../protocol/exact_json.ts";
import type { Watching } from "../protocol/presence.ts";
import { ChangeQueue, type PresenceChange } from "./change_queue.ts";
import { type Member, RosterCopy } from "./roster_copy.ts";

/** Part of a presence that the client keeps. */
export class PresenceCore {
  readonly scope: string;
  readonly watch: Watching | undefined;
  metadata: JsonObject | undefined;
  readonly roster = new RosterCopy();
  readonly queues = new Set<ChangeQueue>();
  /** Whether ATTENDING has come on this connection. */
  answered = false;
  /** Awareness that was set last, and when, by `Clock.nowMs`. */
  state: JsonObject | undefined;
  shownMs: number | undefined;
  /** Whether it has still to be sent, and whether the next one has to wait. */
  unsent = false;
  resting = false;
  over = false;
  error: Error | undefined;
  readonly #known: (() => void)[] = [];

  constructor(scope: string, metadata: JsonObject | undefined, watch: Watching | undefined) {
    this.scope = scope;
    this.metadata = metadata;
    this.watch = watch;
  }

  /** Whether the members are known, or their number if only that is watched. */
  get isKnown(): boolean {
    return this.watch === "members" ? this.roster.complete : this.answered;
  }

  /** Resolve once the presence is known, or over. */
  async known(): Promise<void> {
    while (!this.isKnown && !this.over) {
      await new Promise<void>((resolve) => this.#known.push(resolve));
    }
  }

  /** Wake whoever waits in {@link PresenceCore.known}. */
  wake(): void {
    for (const resolve of this.#known.splice(0)) {
      resolve();
    }
  }

  /** End the presence. */
  end(error?: Error): void {
    if (!this.over) {
      this.over = true;
      this.error = error;
      for (const queue of this.queues) {
        queue.end(error);
      }
      this.wake();
    }
  }
}

/** Calls of a presence to its client. */
export interface PresenceControl {
  update(core: PresenceCore, metadata: JsonObject | null, timeoutMs: number | undefined): Promise<void>;
  show(core: PresenceCore, state: JsonObject | null): void;
  stop(core: PresenceCore): Promise<void>;
}

export class Presence {
  readonly #core: PresenceCore;
  readonly #control: PresenceControl;

  /**
   * Make a presence.
   *
   * @internal
   */
  constructor(core: PresenceCore, control: PresenceControl) {
    this.#core = core;
    this.#control = control;
  }

  get scope(): string {
    return this.#core.scope;
  }

  /** Members by client id; empty if they are not watched. */
  get members(): ReadonlyMap<string, Member> {
    const { roster } = this.#core;
    return new Map(
      roster.ids.flatMap((id) => [roster.get(id)]).flatMap((member) => (member ? [[member.clientId, member]] : [])),
    );
  }

  /** Number of members, as it was told last. */
  get count(): number {
    return this.#core.roster.count;
  }

  /**
   * Yield every change, beginning with all members that are there as `joined`.
   *
   * Changes are conflated: each is made when the program takes it.
   *
   * @throws UsageError the members are not watched.
   */
  async *changes(): AsyncGenerator<PresenceChange, void, undefined> {
    const { queues, roster, over, error, watch } = this.#core;
    if (watch !== "members") {
      throw new UsageError("changes() needs a presence that watches members");
    }
    const queue = new ChangeQueue(roster);
    if (over) {
      queue.end(error);
    }
    queues.add(queue);
    try {
      for (let change = await queue.next(); change; change = await queue.next()) {
        yield change;
      }
    } finally {
      queues.delete(queue);
    }
  }

  /**
   * Replace the metadata, or join; with null this client is no member any more, and goes on watching.
   *
   * @throws RequestRefused the gateway does not take it.
   */
  async update(metadata: JsonObject | null, options: { readonly timeoutMs?: number } = {}): Promise<void> {
    checkOptions("update", options, "m timeoutMs");
    return this.#control.update(this.#core, metadata, options.timeoutMs);
  }

  /** Show short-lived state to those that watch; null: none any more. Never waits. */
  setAwareness(state: JsonObject | null): void {
    this.#control.show(this.#core, state);
  }

  /** Leave at once; iterators end. */
  close(): Promise<void> {
    return this.#control.stop(this.#core);
  }
}
