/** First run: how to publish the first tensor, for a gateway that has no stream yet. */

import { useState } from "preact/hooks";
import { type Problem, problemIn } from "../api/problem.ts";
import { publish } from "../api/requests.ts";
import { Code } from "../parts/code.tsx";
import { Section } from "../parts/page.tsx";
import { ProblemNote } from "../parts/states.tsx";
import { curlExample, javascriptExample, npyOf, pythonExample } from "./first_tensor.ts";

const PATH = "/api/v1/streams/demo/first";

export function FirstRun() {
  const [problem, setProblem] = useState<Problem>();
  const publishOne = async (): Promise<void> => {
    try {
      await publish(PATH, npyOf());
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
        <button type="button" class="button button-main" onClick={() => void publishOne()}>
          Publish one from this page
        </button>
      </p>
    </Section>
  );
}
