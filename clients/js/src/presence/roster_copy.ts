/** Roster copy: members of a scope as the gateway has told them (spec section 16.2). */

import type { JsonObject } from "../protocol/exact_json.ts";
import type { Members, PresentMember } from "../protocol/presence.ts";

/** Member of a scope. */
export interface Member {
  readonly clientId: string;
  readonly clientType: string;
  /** Number of its connection, which its messages name as their publisher. */
  readonly peer: number;
  /** Generation of its program: another one is another program with the same client id. */
  readonly generation: number;
  readonly metadata: JsonObject;
  /** Short-lived state that it shows; undefined: none. */
  readonly awareness: JsonObject | undefined;
}

/**
 * A roster that begins anew, as behind a reconnect, takes the place of the one before when it is complete: so members that have
 * stayed do not leave meanwhile.
 */
export class RosterCopy {
  #members = new Map<string, PresentMember>();
  #awareness = new Map<string, JsonObject>();
  #coming: RosterCopy | undefined;
  /** Whether a roster has come completely. */
  complete = false;
  /** Number of members, as it was told last. */
  count = 0;

  /** Ids of all members. */
  get ids(): string[] {
    return [...this.#members.keys()];
  }

  get(clientId: string): Member | undefined {
    const member = this.#members.get(clientId);
    return (
      member && {
        clientId,
        clientType: member.client_type,
        peer: member.peer,
        generation: member.generation,
        metadata: member.metadata,
        awareness: this.#awareness.get(clientId),
      }
    );
  }

  /** Take one MEMBERS; returns the clients of which something may have changed. */
  take(message: Members): string[] {
    this.count = message.count;
    if (message.roster) {
      this.#coming = new RosterCopy();
    }
    if (!this.#coming) {
      return this.#apply(message);
    }
    const coming = this.#coming;
    coming.#apply(message);
    if (message.more) {
      return [];
    }
    const before = this.ids;
    this.#members = coming.#members;
    this.#awareness = coming.#awareness;
    this.#coming = undefined;
    this.complete = true;
    return [...new Set([...before, ...this.ids])];
  }

  #apply({ left = [], members = [], awareness = {} }: Members): string[] {
    for (const clientId of left) {
      this.#members.delete(clientId);
      this.#awareness.delete(clientId);
    }
    for (const member of members) {
      this.#members.set(member.client_id, member);
    }
    for (const [clientId, state] of Object.entries(awareness)) {
      if (state === null) {
        this.#awareness.delete(clientId);
      } else if (this.#members.has(clientId)) {
        this.#awareness.set(clientId, state);
      }
    }
    return [...new Set([...left, ...members.map(({ client_id }) => client_id), ...Object.keys(awareness)])];
  }
}
