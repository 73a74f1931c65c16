/** Quality of a link: values that one side has measured of a connection, and their score (spec section 15). */

const SCORED_BYTES = 64 * 1024;
const HALF_SCORE_S = 0.25;
const DEVIATIONS = 4;
const CONFLATED_WEIGHT = 0.5;

/** Measured values of one link. A value that is not known is absent, and leaves the score as it is. */
export interface LinkQuality {
  readonly rtt_s?: number | undefined;
  readonly jitter_s?: number | undefined;
  readonly goodput_bytes_per_s?: number | undefined;
  readonly queue_delay_s?: number | undefined;
  /** Share of the messages that were dropped and announced as gaps, 0 to 1. */
  readonly gap_share?: number | undefined;
  /** Share of the versions of states that newer ones have replaced, 0 to 1. */
  readonly conflated_share?: number | undefined;
  readonly decode_s_per_byte?: number | undefined;
  /** Age of the oldest message that the receiver's program has not taken yet. */
  readonly unread_s?: number | undefined;
}

/** Return the score of a link, 0 to 1; 1 if nothing is known. */
export function scoreOf(link: LinkQuality): number {
  const goodput = link.goodput_bytes_per_s;
  const perByte = (goodput === undefined ? 0 : 1 / known(goodput)) + known(link.decode_s_per_byte);
  const oneWay = (known(link.rtt_s) + DEVIATIONS * known(link.jitter_s)) / 2;
  const delay = oneWay + known(link.queue_delay_s) + SCORED_BYTES * perByte + known(link.unread_s);
  const gaps = Math.min(1, known(link.gap_share));
  const conflated = Math.min(1, known(link.conflated_share));
  return ((1 - gaps) * (1 - CONFLATED_WEIGHT * conflated) * HALF_SCORE_S) / (HALF_SCORE_S + delay);
}

function known(value: number | undefined): number {
  return Math.max(0, value ?? 0);
}
