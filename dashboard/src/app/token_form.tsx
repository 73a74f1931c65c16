/** Form for the token that the gateway asks for. */

import { useState } from "preact/hooks";
import { keepToken, token } from "../api/token.ts";

export function TokenForm({ words }: { readonly words: string }) {
  const [isNone, setIsNone] = useState(false);
  return (
    <form
      class="banner"
      onSubmit={(event) => {
        event.preventDefault();
        const field = new FormData(event.currentTarget).get("token");
        if (typeof field === "string" && keepToken(field)) {
          location.reload(); // everything begins anew with it, also what runs in workers
        } else {
          setIsNone(true);
        }
      }}
    >
      <label class="label">
        {isNone ? "That is no token. " : ""}
        {token.value === null ? "The gateway asks for the token of an admin_panel" : words}
        <input class="field" name="token" type="password" autocomplete="off" spellcheck={false} required />
      </label>
      <button type="submit" class="button">
        Show the token
      </button>
    </form>
  );
}
