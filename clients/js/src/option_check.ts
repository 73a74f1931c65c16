/** Check of options as a program without types may give them: one that is misspelt would count for nothing. */

/**
 * Options of a call: groups with `;` between them, each the third letter of what `typeof` says of its options, and their
 * names. The letters: st**r**ing, nu**m**ber, fu**n**ction, ob**j**ect, bo**o**lean, bi**g**int.
 */
export type KnownOptions = string;

export const CONNECT_OPTIONS: KnownOptions =
  "r clientType clientId token agent;n token onError onNotice onState;m connectTimeoutMs closeTimeoutMs timeoutMs maxPendingBytes maxMessageBytes;j backoff wires clock;o worker";

export const SUBSCRIBE_OPTIONS: KnownOptions =
  "n onMessage onGap onEnded onError;o latest observe autoAck conflate;j view lower credits signal since;r since;m since;g since";

export const CALL_OPTIONS: KnownOptions = "m timeoutMs;j signal";

/** Return whether options are known, with values of their types; numbers are 0 or more, null and undefined count as absent. */
export function areKnown(options: object, known: KnownOptions): boolean {
  return (
    typeof options === "object" &&
    // Null has no entries to look at, and is refused as one that is not known.
    Object.entries(options ?? [0]).every(([name, value]) => isKnown(name, value, known))
  );
}

/** Return whether one option is known, and its value of its types. */
export function isKnown(name: string, value: unknown, known: KnownOptions): boolean {
  return known
    .split(";")
    .some(
      (group) =>
        group.split(" ").indexOf(name) > 0 &&
        ((value ?? null) === null || (group[0] === (typeof value)[2] && (group[0] !== "m" || (value as number) >= 0))),
    );
}
