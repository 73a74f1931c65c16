/** Button that copies a text, and says that it has. */

import { useEffect, useState } from "preact/hooks";
import { Icon } from "./icon.tsx";

/** Time for which the button says so. */
const SAID_MS = 1500;

interface CopyButtonProps {
  readonly label: string;
  /** Called when the button is pressed: a large text is made only then. */
  readonly text: () => string;
}

export function CopyButton({ label, text }: CopyButtonProps) {
  const [said, setSaid] = useState("");
  useEffect(() => {
    const timer = said ? setTimeout(() => setSaid(""), SAID_MS) : undefined;
    return () => clearTimeout(timer);
  }, [said]);
  const copy = (): void => {
    copied(text()).then(
      () => setSaid("Copied"),
      () => setSaid("Not allowed"),
    );
  };
  return (
    <button type="button" class="button button-quiet" onClick={copy}>
      <Icon name={said === "Copied" ? "check" : "copy"} />
      <span aria-live="polite">{said || label}</span>
    </button>
  );
}

/** Copy a text. Browsers give the clipboard to pages by https and of this machine only; others have the older command. */
async function copied(text: string): Promise<void> {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) {
    throw new Error("the browser gives no clipboard");
  }
}
