/** Problems: answers of the admin port that are no success, and requests that got none. */

/** Reason for which there is no answer. */
export interface Problem {
  /** Status of HTTP; 0: the gateway was not reached. */
  readonly status: number;
  /** Name of the error, as the specification has it; empty: none was given. */
  readonly error: string;
  readonly message: string;
}

export class ProblemError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.message);
    this.problem = problem;
  }
}

/** Return the problem of an answer. */
export async function problemOf(response: Response): Promise<Problem> {
  const text = await response.text();
  let fields: Readonly<Record<string, unknown>> = {};
  try {
    const parsed: unknown = JSON.parse(text);
    fields = typeof parsed === "object" && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    // Not from the gateway, as the page of a proxy is not.
  }
  const message = textIn(fields, "message", "detail", "title", "reason") ?? `HTTP ${response.status}`;
  return { status: response.status, error: textIn(fields, "error", "title") ?? "", message };
}

function textIn(fields: Readonly<Record<string, unknown>>, ...names: readonly string[]): string | undefined {
  return names.map((name) => fields[name]).find((value) => typeof value === "string" && value !== "") as
    | string
    | undefined;
}

/** Return the problem that an exception stands for. */
export function problemIn(error: unknown): Problem {
  return error instanceof ProblemError
    ? error.problem
    : { status: 0, error: "", message: "the gateway cannot be reached" };
}
