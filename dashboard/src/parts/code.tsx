/** Code to be copied. */

import { CopyButton } from "./copy_button.tsx";

export function Code({ label, children }: { readonly label: string; readonly children: string }) {
  return (
    <div class="code">
      <div class="code-head">
        <span>{label}</span>
        <CopyButton label="Copy" text={() => children} />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls has to be reached by the keyboard */}
      <pre tabIndex={0}>
        <code>{children}</code>
      </pre>
    </div>
  );
}
