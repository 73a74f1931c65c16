/** Number of a connection, as addresses of the page have it. */

const MAX_PEER = 2 ** 32 - 1;

/** Return the number that a segment of an address says; undefined: no connection can have it. */
export function peerOf(segment: string): number | undefined {
  const peer = /^[1-9]\d{0,9}$/.test(segment) ? Number(segment) : 0;
  return peer >= 1 && peer <= MAX_PEER ? peer : undefined;
}
