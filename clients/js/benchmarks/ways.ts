/** Ways in which a page gets arrays of float32, as the page and the program that measures it name them. */

/** Arrays that are sent. */
export interface Load {
  readonly elements: number;
  /** Arrays a second; 0: as fast as they are taken. */
  readonly hz: number;
  readonly seconds: number;
  /** Chain by which a publisher encodes them. */
  readonly codec: string;
}

export const WAYS = ["worker", "page", "hand", "relay", "socketio"] as const;

export type Way = (typeof WAYS)[number];

export const NAMES: Readonly<Record<Way, string>> = {
  worker: "client, worker",
  page: "client, page's thread",
  hand: "by hand",
  relay: "by hand, through the gateway",
  socketio: "Socket.IO",
};

/** Return whether arrays come from a publisher through the gateway, and not from a server of their own. */
export function isThroughGateway(way: Way): boolean {
  return way === "worker" || way === "page" || way === "relay";
}

/** Figures of one run in the page. */
export interface Run {
  readonly arrays: number;
  readonly seconds: number;
  /** Times between frames that the page has drawn, in ms. */
  readonly gaps: readonly number[];
  /** Times from publish to callback, in ms, of a part of the arrays; none if the way does not tell them. */
  readonly ages: readonly number[];
}

/** Number of different arrays, which are sent in turns. */
export const ARRAYS = 16;

/** Return one of the arrays: noise, which no codec makes smaller; for a codec a triangle wave with a little noise. */
export function arrayOf(number: number, { elements, codec }: Load): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: elements }, (_, index) => {
    const noise = scrambled(index + number * elements);
    const wave = Math.abs(((index + 97 * number) % 4096) - 2048);
    return codec === "none" ? noise / 2 ** 24 : wave + (noise & 15) / 16;
  });
}

/** Return a number of 24 bits by the finalizer of MurmurHash3. */
function scrambled(number: number): number {
  let bits = number;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 8;
}
