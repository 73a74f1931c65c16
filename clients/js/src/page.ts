/**
 * Entry of `frys.js`, the file for a script tag: all that a page uses before it is connected.
 *
 * The client itself is loaded by the first {@link connect}, and its worker then.
 */

import type { Client } from "./client.ts";
import type { ClientOptions } from "./options.ts";

export * from "./errors.ts";
export { DTYPES } from "./protocol/dtypes.ts";
export { CLIENT_TYPES, KINDS } from "./protocol/messages.ts";
export { dequantize } from "./protocol/quantization.ts";
export { Tensor } from "./protocol/tensors.ts";

/** Connect to a gateway, as `connect` of the package does. */
export async function connect(url: string, options: ClientOptions = {}): Promise<Client> {
  const client = await import("./client.ts");
  return client.connect(url, options);
}
