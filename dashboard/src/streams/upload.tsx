/** Upload of a `.npy` file as the next message of a stream. */

import { useRef, useState } from "preact/hooks";
import { type Problem, problemIn } from "../api/problem.ts";
import { publish } from "../api/requests.ts";
import { whole } from "../format/numbers.ts";
import { Badge } from "../parts/figure.tsx";
import { ProblemNote } from "../parts/states.tsx";

export function Upload({ path }: { readonly path: string }) {
  const field = useRef<HTMLInputElement>(null);
  const [done, setDone] = useState<string>();
  const [problem, setProblem] = useState<Problem>();
  const upload = async (file: File | undefined): Promise<void> => {
    if (!file) {
      return;
    }
    setProblem(undefined);
    setDone(`Publishing ${file.name} …`);
    try {
      setDone(`${file.name} is message ${whole(await publish(path, file))}`);
    } catch (error) {
      setDone(undefined);
      setProblem(problemIn(error));
    }
  };
  return (
    <>
      {problem && <ProblemNote problem={problem} />}
      {done && <Badge>{done}</Badge>}
      <button type="button" class="button" onClick={() => field.current?.click()}>
        Publish a file…
      </button>
      <input
        ref={field}
        type="file"
        accept=".npy"
        hidden
        aria-label="A .npy file to publish"
        onChange={({ currentTarget }) => {
          void upload(currentTarget.files?.[0]);
          currentTarget.value = ""; // the same file may be published again
        }}
      />
    </>
  );
}
