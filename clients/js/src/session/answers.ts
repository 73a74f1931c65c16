/** Answers to requests of a session, by the number that each request has. */

import { ConnectionFailed, RequestRefused } from "../errors.ts";
import type { Account, Authenticated, Deleted, Refusal, Subscribed, Unsubscribed } from "../protocol/messages.ts";
import type { Attending } from "../protocol/presence.ts";
import { Opcode } from "../protocol/wire.ts";
import type { Inbound } from "./wire.ts";

/** Frame that answers a request. */
export type Answer = Account | Attending | Authenticated | Deleted | Subscribed | Unsubscribed;

const ANSWERS: ReadonlySet<number | string> = new Set([
  Opcode.ACCOUNT,
  Opcode.ATTENDING,
  Opcode.AUTHENTICATED,
  Opcode.DELETED,
  Opcode.SUBSCRIBED,
  Opcode.UNSUBSCRIBED,
]);

/** Return whether an item answers a request. */
export function isAnswer(item: Inbound): item is Answer {
  return ANSWERS.has(item.opcode);
}

/** Callbacks of one request: called before the next frame is handled. */
export interface Asker {
  /** Take an answer; returns whether another one follows. */
  answered(answer: Answer): boolean;
  refused(error: RequestRefused): void;
  /** The connection was lost before the answer. */
  lost(error: ConnectionFailed): void;
}

export class Answers {
  readonly #asking = new Map<number, Asker>();
  #next = 1;

  /** Return the number of a new request. */
  expect(asker: Asker): number {
    const request = this.#next++;
    this.#asking.set(request, asker);
    return request;
  }

  /** Give a request up: its answer is dropped. */
  forget(request: number): void {
    this.#asking.delete(request);
  }

  received(answer: Answer): void {
    const asker = this.#asking.get(answer.request);
    if (asker && !asker.answered(answer)) {
      this.#asking.delete(answer.request);
    }
  }

  /** Take an ERROR; returns whether it answers a request. */
  refused({ request, code, message, retry_after_s }: Refusal): boolean {
    const asker = request === undefined ? undefined : this.#asking.get(request);
    if (request === undefined || !asker) {
      return false;
    }
    this.#asking.delete(request);
    asker.refused(new RequestRefused(code, message, retry_after_s));
    return true;
  }

  /** Fail all requests: the connection was lost. */
  fail(reason: string): void {
    const asking = [...this.#asking.values()];
    this.#asking.clear();
    for (const asker of asking) {
      asker.lost(new ConnectionFailed(`the connection was lost before the answer came (${reason})`));
    }
  }
}
