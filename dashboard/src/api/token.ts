/** Token of the person before the page, for a gateway that asks for one. */

import { signal } from "@preact/signals";

const KEY = "frys.token";
/** Characters of tokens (RFC 6750, section 2.1): others cannot stand in the head of a request. */
const TOKEN = /^[A-Za-z0-9._~+/=-]+$/;

/** Token that requests show; null: none. Kept until the tab is closed, and from no other tab. */
export const token = signal<string | null>(kept());

/** Keep a token, as it was pasted; return whether it can be one. */
export function keepToken(text: string): boolean {
  const pasted = text.trim();
  if (!TOKEN.test(pasted)) {
    return false;
  }
  token.value = pasted;
  try {
    sessionStorage.setItem(KEY, pasted);
  } catch {
    // A browser that keeps nothing asks again when the page is loaded.
  }
  return true;
}

/** Return the fields of a request that show a token. */
export function authorization(shown: string | null = token.value): Record<string, string> {
  return shown === null ? {} : { authorization: `Bearer ${shown}` };
}

function kept(): string | null {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}
