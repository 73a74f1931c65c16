/** `xor`: the difference to an earlier version of the same state (spec section 10). Bytes that did not change are zero. */

import { checkedBase, type Filter } from "./abc.ts";
import { aligned, words32 } from "./words.ts";

export const XOR: Filter = {
  name: "xor",
  id: 17,
  parameters: [1, 255],

  decodeInto(data, out, parameter, base) {
    const before = checkedBase(data, parameter, base);
    let at = 0;
    if (out.byteOffset % 4 === 0) {
      const changes = words32(aligned(data, 4));
      const bases = words32(aligned(before, 4));
      const words = words32(out);
      for (let index = 0; index < words.length; index++) {
        words[index] = changes[index] ^ bases[index];
      }
      at = 4 * words.length;
    }
    for (; at < out.length; at++) {
      out[at] = data[at] ^ before[at];
    }
  },
};
