/** Calls that wait until there is a session on which new work may be started. */

import { unlessAborted } from "./aborting.ts";
import type { Session } from "./session.ts";

interface Waiting {
  resolve(session: Session): void;
  reject(error: Error): void;
}

export class WaitingCalls {
  readonly #waiting = new Set<Waiting>();

  /** Wait for a session; throws the reason of a signal as soon as it is aborted. */
  async wait(signal: AbortSignal | undefined): Promise<Session> {
    let given = (): void => undefined;
    const session = new Promise<Session>((resolve, reject) => {
      const waiting = { resolve, reject };
      this.#waiting.add(waiting);
      given = () => this.#waiting.delete(waiting);
    });
    try {
      return await (signal ? unlessAborted(session, signal) : session);
    } finally {
      given();
    }
  }

  /** Hand a session to all that wait. */
  resolve(session: Session): void {
    for (const { resolve } of this.#waiting) {
      resolve(session);
    }
  }

  /** Fail all that wait. */
  reject(error: Error): void {
    for (const { reject } of this.#waiting) {
      reject(error);
    }
  }
}
