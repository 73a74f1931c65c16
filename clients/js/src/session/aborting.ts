/** Signals of the program: the end of a wait. */

/**
 * Return the result of work, or throw the reason of a signal as soon as it is aborted.
 *
 * The work itself goes on; what comes of it then is dropped, also an error.
 */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let aborted = (): void => undefined;
  const ended = new Promise<never>((_, reject) => {
    aborted = () => reject(signal.reason);
  });
  signal.addEventListener("abort", aborted);
  if (signal.aborted) {
    aborted();
  }
  try {
    return await Promise.race([work, ended]);
  } finally {
    signal.removeEventListener("abort", aborted);
  }
}
