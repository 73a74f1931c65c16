/** Durability of acknowledged messages (spec section 4.8). */

/** Failures that an acknowledged message survives, in the order of their levels on the wire: none, the end of the
 * gateway's process, the failure of the machine. */
export const DURABILITIES = ["memory", "os", "fsync"] as const;

export type Durability = (typeof DURABILITIES)[number];

/** Return the durability of a level from the wire; an unknown one counts as `memory`. */
export function durabilityOf(level: number): Durability {
  return DURABILITIES[level] ?? "memory";
}

/** Return the level on the wire; a larger one survives more. */
export function levelOf(durability: Durability): number {
  return DURABILITIES.indexOf(durability);
}
