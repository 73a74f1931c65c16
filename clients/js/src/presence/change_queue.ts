/**
 * Change queue: changes of a scope that one iterator has not been told.
 *
 * It keeps no changes, but the names of members that differ from what was told: so memory is bounded by the number of members,
 * however slow the program is.
 */

import { writeJson } from "../protocol/exact_json.ts";
import type { Member, RosterCopy } from "./roster_copy.ts";

/** Change of a scope. */
export interface PresenceChange {
  /** `updated` is another metadata or peer. */
  readonly kind: "joined" | "updated" | "awareness" | "left";
  /** The member as it is now; of one that has left as it was told last. */
  readonly member: Member;
}

export class ChangeQueue {
  readonly #roster: RosterCopy;
  readonly #told = new Map<string, Member>();
  readonly #changed: Set<string>;
  #wake: () => void = () => undefined;
  #over = false;
  #error: Error | undefined;

  constructor(roster: RosterCopy) {
    this.#roster = roster;
    this.#changed = new Set(roster.ids);
  }

  /** Take note of clients of which something may have changed. */
  note(clientIds: readonly string[]): void {
    for (const clientId of clientIds) {
      this.#changed.add(clientId);
    }
    this.#wake();
  }

  /** End the queue: what waits can still be taken, and then comes the error, if there is one. */
  end(error: Error | undefined): void {
    this.#over = true;
    this.#error = error;
    this.#wake();
  }

  /** Return the next change; undefined: there is none now. */
  take(): PresenceChange | undefined {
    for (const clientId of this.#changed) {
      this.#changed.delete(clientId);
      const change = changeBetween(this.#told.get(clientId), this.#roster.get(clientId));
      if (change?.kind === "left") {
        this.#told.delete(clientId);
        this.#changed.add(clientId); // another program may have the name
      } else if (change) {
        this.#told.set(clientId, change.member);
      }
      if (change) {
        return change;
      }
    }
    return undefined;
  }

  /** Wait for the next change; undefined: there are no more. Throws the error with which the queue ended. */
  async next(): Promise<PresenceChange | undefined> {
    for (;;) {
      const change = this.take();
      if (change) {
        return change;
      }
      if (this.#error) {
        throw this.#error;
      }
      if (this.#over) {
        return undefined;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

function changeBetween(told: Member | undefined, now: Member | undefined): PresenceChange | undefined {
  if (told && (!now || now.generation !== told.generation)) {
    return { kind: "left", member: told };
  }
  if (!now) {
    return undefined;
  }
  if (!told) {
    return { kind: "joined", member: now };
  }
  if (told.peer !== now.peer || writeJson(told.metadata) !== writeJson(now.metadata)) {
    return { kind: "updated", member: now };
  }
  const isSame =
    writeJson(told.awareness ?? {}) === writeJson(now.awareness ?? {}) && !told.awareness === !now.awareness;
  return isSame ? undefined : { kind: "awareness", member: now };
}
