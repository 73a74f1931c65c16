/** Presence: members of scopes, and their awareness, as messages (spec section 16). Field names are those of the JSON. */

import type { JsonObject } from "./exact_json.ts";
import type { JsonBody } from "./json_body.ts";
import { Opcode, U32_MAX } from "./wire.ts";

/** Parts of a scope that a client can watch: the roster with every change to it, or the number of members. */
export const WATCHINGS = ["members", "count"] as const;
export type Watching = (typeof WATCHINGS)[number];

/** Part that a connection takes in a scope from now on; with neither field it has none (spec section 16.1). */
export interface Attend {
  readonly opcode: typeof Opcode.ATTEND;
  readonly request: number;
  readonly scope: string;
  /** The client is a member with this metadata; absent: it is none. */
  readonly metadata?: JsonObject | undefined;
  /** Changes that the connection is told; absent: none. */
  readonly watch?: Watching | undefined;
}

/** Answer to {@link Attend} (spec section 16.1). */
export interface Attending {
  readonly opcode: typeof Opcode.ATTENDING;
  readonly request: number;
  readonly scope: string;
  /** Members of the scope. */
  readonly count: number;
}

/** Short-lived state of the sender, which is a member of the scope (spec section 16.3). */
export interface Awareness {
  readonly opcode: typeof Opcode.AWARENESS;
  readonly scope: string;
  /** The state; absent: there is none any more. */
  readonly state?: JsonObject | undefined;
}

/** Member of a scope, as MEMBERS describes it (spec section 16.2). */
export interface PresentMember {
  readonly client_id: string;
  readonly client_type: string;
  /** Number of its connection, which its messages name as their publisher. */
  readonly peer: number;
  /** Generation of its program: another one is another program with the same `client_id`. */
  readonly generation: number;
  readonly metadata: JsonObject;
}

/**
 * Roster of a scope, or changes to it, for those that watch it (spec section 16.2).
 *
 * Its parts apply in the order `left`, `members`, `awareness`.
 */
export interface Members {
  readonly opcode: typeof Opcode.MEMBERS;
  readonly scope: string;
  readonly count: number;
  /** Members that have joined or changed. */
  readonly members?: readonly PresentMember[] | undefined;
  /** New states by `client_id`; null: there is none any more. */
  readonly awareness?: Readonly<Record<string, JsonObject | null>> | undefined;
  /** Clients that are members no more. */
  readonly left?: readonly string[] | undefined;
  /** True: what was told before is void, and the roster begins anew. */
  readonly roster?: boolean | undefined;
  /** True: another part follows, and only with it the members are complete. */
  readonly more?: boolean | undefined;
}

export type PresenceMessage = Attend | Attending | Awareness | Members;

export function readAttend(body: JsonBody): Attend {
  return {
    opcode: Opcode.ATTEND,
    request: body.integer("request"),
    scope: body.text("scope"),
    metadata: body.mappingOrUndefined("metadata"),
    watch: body.choiceOrUndefined("watch", WATCHINGS),
  };
}

export function readAttending(body: JsonBody): Attending {
  return {
    opcode: Opcode.ATTENDING,
    request: body.integer("request"),
    scope: body.text("scope"),
    count: body.integer("count"),
  };
}

export function readAwareness(body: JsonBody): Awareness {
  return { opcode: Opcode.AWARENESS, scope: body.text("scope"), state: body.mappingOrUndefined("state") };
}

export function readMembers(body: JsonBody): Members {
  const awareness = body.has("awareness") ? body.nested("awareness") : undefined;
  return {
    opcode: Opcode.MEMBERS,
    scope: body.text("scope"),
    count: body.integer("count"),
    members: body.has("members") ? body.objects("members").map(readMember) : undefined,
    awareness:
      awareness &&
      Object.fromEntries(awareness.names().map((name) => [name, awareness.mappingOrUndefined(name) ?? null])),
    left: body.has("left") ? body.texts("left") : undefined,
    roster: body.booleanOrUndefined("roster"),
    more: body.booleanOrUndefined("more"),
  };
}

function readMember(body: JsonBody): PresentMember {
  return {
    client_id: body.text("client_id"),
    client_type: body.text("client_type"),
    peer: body.integer("peer", U32_MAX),
    generation: body.integer("generation"),
    metadata: body.mappingOrUndefined("metadata") ?? {},
  };
}
