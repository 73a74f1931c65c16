/** Rules of addresses and scopes, which only requests and presence have; as in `names.ts`. */

import { checkText, invalid, isClientId, MAX_NAME_BYTES, SEGMENT, STREAM } from "./names.ts";

const WORKFLOW = new RegExp(`^${SEGMENT}$`);
const ADDRESS = /^(agent|group):(.*)$/s;

/** Check an address: `agent:<client_id>` or `group:<name>`. */
export function checkAddress(address: string): string {
  const name = ADDRESS.exec(checkText("address", address))?.[2];
  if (name === undefined || !isClientId(name)) {
    throw invalid("address", address, "'agent:<client_id>' or 'group:<name>'");
  }
  return address;
}

/** Check the scope of presence: a workflow, or a stream (spec section 16). */
export function checkScope(scope: string): string {
  if (checkText("scope", scope).length > MAX_NAME_BYTES || !(STREAM.test(scope) || WORKFLOW.test(scope))) {
    throw invalid("scope", scope, "a workflow, or a stream '<workflow>/<name>'");
  }
  return scope;
}
