/** Dialog that asks before something is done that cannot be taken back. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { type Problem, problemIn } from "../api/problem.ts";
import { ProblemNote } from "./states.tsx";

interface ConfirmProps {
  readonly title: string;
  /** Words on the button that does it: a verb. */
  readonly action: string;
  /** Does it; the dialog stays open with the problem if it fails. */
  readonly onConfirm: () => Promise<unknown>;
  readonly onClose: () => void;
  /** What happens then, and to whom. */
  readonly children?: ComponentChildren;
}

export function Confirm({ title, action, onConfirm, onClose, children }: ConfirmProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);
  const confirm = async (): Promise<void> => {
    setBusy(true);
    try {
      await onConfirm();
      onClose();
    } catch (error) {
      setProblem(problemIn(error));
      setBusy(false);
    }
  };
  return (
    <dialog ref={dialog} class="dialog" aria-label={title} onClose={onClose}>
      <h2>{title}</h2>
      {children}
      {problem && <ProblemNote problem={problem} />}
      <div class="dialog-buttons">
        <button type="button" class="button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" class="button button-danger" disabled={busy} onClick={() => void confirm()}>
          {action}
        </button>
      </div>
    </dialog>
  );
}
