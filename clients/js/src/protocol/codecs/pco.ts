/**
 * `pco`: numbers by the Pco format (spec section 10.2), which this client does not offer: nothing on npm decodes it.
 *
 * Chains with it are read and written as every other, so that a message can be passed on; a gateway sends none to a client
 * that has not offered it.
 */

import { Code, RequestRefused } from "../../errors.ts";
import type { Compressor } from "./abc.ts";

export const PCO: Compressor = {
  name: "pco",
  id: 4,
  parameters: [2, 15],
  maxRatio: 30841,
  loaded: true,
  load: () => Promise.resolve(),
  checkSize: refuse,
  decodeInto: refuse,
};

function refuse(): never {
  throw new RequestRefused(Code.UNKNOWN_CODEC, "pco is not decoded by this client, and was not offered");
}
