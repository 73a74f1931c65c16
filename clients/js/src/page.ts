/** Entry of `frys.js`, the file for a script tag: what a page imports by name. */

export { type Client, connect } from "./client.ts";
export * from "./errors.ts";
export { DTYPES } from "./protocol/dtypes.ts";
export { CLIENT_TYPES, KINDS } from "./protocol/messages.ts";
export { Tensor } from "./protocol/tensors.ts";
