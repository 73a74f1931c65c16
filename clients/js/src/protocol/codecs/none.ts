/** `none`: the data as it is; the end of a chain without a compressor (spec section 10). */

import { type Compressor, corrupt } from "./abc.ts";

export const NONE: Compressor = {
  name: "none",
  id: 0,
  parameters: [0, 0],
  maxRatio: 1,
  loaded: true,
  load: () => Promise.resolve(),

  checkSize(data, decodedBytes) {
    if (data.byteLength !== decodedBytes) {
      throw corrupt(`${data.byteLength} bytes that are not compressed declare ${decodedBytes}`);
    }
  },

  decodeInto(data, out) {
    out.set(data);
  },
};
