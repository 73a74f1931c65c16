/** Inquiries: calls that the gateway answers by frames of their own, and not by messages. */

import { Code, ConnectionFailed, RequestRefused } from "./errors.ts";
import type { Account, Authenticated, Counts, Deleted, SessionMessage } from "./protocol/messages.ts";
import { Opcode } from "./protocol/wire.ts";
import type { Answer } from "./session/answers.ts";
import type { Connection } from "./session/connection.ts";
import type { SubscriptionCore } from "./subscribing/subscription_core.ts";
import type { Subscriptions } from "./subscribing/subscriptions.ts";

/** Each inquiry gets a signal: once the call is given up, nothing more is asked. */
export class Inquiries {
  readonly #connection: Connection;
  readonly #subscriptions: Subscriptions;

  constructor(connection: Connection, subscriptions: Subscriptions) {
    this.#connection = connection;
    this.#subscriptions = subscriptions;
  }

  /**
   * Return the account that the gateway keeps of a subscription, by stream.
   *
   * @throws UsageError the subscription has not been started, or is closed.
   */
  async account(core: SubscriptionCore, call: AbortSignal): Promise<Map<string, Counts>> {
    for (;;) {
      await this.#subscriptions.whenJoined(core);
      const session = await this.#connection.whenReady(call);
      if (!core.position.joined) {
        continue; // the connection was lost meanwhile
      }
      this.#subscriptions.reportConflated();
      const found = new Map<string, Counts>();
      try {
        await session.ask<Account>(
          (request) => ({ opcode: Opcode.ACCOUNT, request, subscription: core.number }),
          ({ streams, more }) => {
            for (const [name, counts] of Object.entries(streams ?? {})) {
              found.set(name, counts);
            }
            return more;
          },
        );
        return found;
      } catch (error) {
        // A lost request is repeated: it changes nothing in the gateway.
        if (!(error instanceof ConnectionFailed) || this.#connection.error) {
          throw error;
        }
      }
    }
  }

  /** Delete the streams that match a pattern, and return their names. */
  async delete(pattern: string, call: AbortSignal): Promise<string[]> {
    const names: string[] = [];
    for (let more = true; more; ) {
      const deleted = await this.#ask<Deleted>((request) => ({ opcode: Opcode.DELETE, request, pattern }), call);
      names.push(...deleted.streams);
      more = deleted.more === true;
    }
    return names;
  }

  /** Replace the token of the running session, and return the seconds for which it is good, or null. */
  async authenticate(token: string, call: AbortSignal): Promise<number | null> {
    const answer = await this.#ask<Authenticated>((request) => ({ opcode: Opcode.AUTHENTICATE, request, token }), call);
    return answer.expires_s;
  }

  async #ask<T extends Answer>(request: (number: number) => SessionMessage, call: AbortSignal): Promise<T> {
    for (;;) {
      const session = await this.#connection.whenReady(call);
      try {
        return await session.ask<T>(request);
      } catch (error) {
        if (!(error instanceof RequestRefused && error.code === Code.DRAINING)) {
          throw error;
        }
      }
    }
  }
}
