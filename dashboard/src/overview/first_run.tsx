/** First run: how to publish the first tensor, for a gateway that has no stream yet. */

import { useState } from "preact/hooks";
import { type Problem, ProblemError, problemIn, problemOf } from "../api/problem.ts";
import { Code } from "../parts/code.tsx";
import { Section } from "../parts/page.tsx";
import { ProblemNote } from "../parts/states.tsx";
import { curlExample, javascriptExample, npyOf, pythonExample } from "./first_tensor.ts";

const PATH = "/api/v1/streams/demo/first";

export function FirstRun() {
  const [problem, setProblem] = useState<Problem>();
  const publish = async (): Promise<void> => {
    try {
      const response = await fetch(PATH, { method: "PUT", body: npyOf() });
      if (!response.ok) {
        throw new ProblemError(await problemOf(response));
      }
      setProblem(undefined);
    } catch (error) {
      setProblem(problemIn(error));
    }
  };
  const { protocol, host } = location;
  const socket = `${protocol === "https:" ? "wss" : "ws"}://${host}/ws`;
  return (
    <Section title="Publish the first tensor" summary="This gateway has no stream yet. Any of these makes one.">
      <div class="first-run">
        <Code label="Python">{pythonExample(socket)}</Code>
        <Code label="JavaScript">{javascriptExample(`${protocol}//${host}`, socket)}</Code>
        <Code label="curl">{curlExample(`${protocol}//${host}`)}</Code>
      </div>
      {problem && <ProblemNote problem={problem} />}
      <p>
        <button type="button" class="button button-main" onClick={() => void publish()}>
          Publish one from this page
        </button>
      </p>
    </Section>
  );
}
