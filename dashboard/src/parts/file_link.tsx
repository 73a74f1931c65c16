/** Link to a file of the gateway. With a token the page fetches it: a link alone shows none. */

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { problemIn } from "../api/problem.ts";
import { fetched } from "../api/requests.ts";
import { token } from "../api/token.ts";
import { saveBlob } from "./save_blob.ts";

interface FileLinkProps {
  readonly path: string;
  readonly name: string;
  readonly children?: ComponentChildren;
}

export function FileLink({ path, name, children }: FileLinkProps) {
  const [problem, setProblem] = useState("");
  if (token.value === null) {
    return (
      <a class="button" href={path} download={name}>
        {children}
      </a>
    );
  }
  const save = async (): Promise<void> => {
    try {
      saveBlob(name, await fetched(path));
      setProblem("");
    } catch (error) {
      setProblem(problemIn(error).message);
    }
  };
  return (
    <button type="button" class="button" title={problem} onClick={() => void save()}>
      {problem ? "Download again" : children}
    </button>
  );
}
