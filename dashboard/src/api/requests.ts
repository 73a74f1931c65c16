/** Requests to the admin port. */

import { ProblemError, problemOf } from "./problem.ts";
import { authorization } from "./token.ts";

/** Longest time for which an answer is waited for. */
const TIMEOUT_MS = 10_000;

/**
 * Return the JSON of an answer.
 *
 * @throws ProblemError the answer was no success.
 * @throws TypeError the gateway cannot be reached.
 */
export async function read<T>(path: string, signal?: AbortSignal): Promise<T> {
  return await ask<T>(path, {}, signal);
}

/**
 * Send a command, with a body of JSON, and return the JSON of the answer.
 *
 * @throws ProblemError the answer was no success.
 * @throws TypeError the gateway cannot be reached.
 */
export async function command<T>(method: "POST" | "PUT" | "DELETE", path: string, body: object = {}): Promise<T> {
  return await ask<T>(path, {
    method,
    body: JSON.stringify(body),
    headers: { "content-type": "application/json" },
  });
}

/**
 * Publish a `.npy` file as the next message of a stream, however long that takes, and return its offset.
 *
 * @throws ProblemError the answer was no success.
 * @throws TypeError the gateway cannot be reached.
 */
export async function publish(path: string, file: Blob): Promise<number> {
  const { offset } = await answered<{ readonly offset: number }>(
    await fetch(path, { method: "PUT", body: file, headers: authorization() }),
  );
  return offset;
}

/**
 * Return a file of the gateway, however long that takes.
 *
 * @throws ProblemError the answer was no success.
 * @throws TypeError the gateway cannot be reached.
 */
export async function fetched(path: string): Promise<Blob> {
  const response = await fetch(path, { headers: authorization() });
  if (!response.ok) {
    throw new ProblemError(await problemOf(response));
  }
  return await response.blob();
}

async function ask<T>(path: string, init: RequestInit, signal?: AbortSignal): Promise<T> {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  const headers = { ...init.headers, ...authorization() };
  const until = signal ? AbortSignal.any([signal, limit]) : limit;
  return await answered(await fetch(path, { ...init, headers, signal: until }));
}

async function answered<T>(response: Response): Promise<T> {
  if (!response.ok) {
    throw new ProblemError(await problemOf(response));
  }
  return (await response.json()) as T;
}
