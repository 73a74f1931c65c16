/** Subscriptions of a client: what arrives for them, and what they ask of the gateway (`spec/client.md`, section 5). */

import { Code, ConnectionFailed, RequestRefused, UsageError } from "../errors.ts";
import { LazyPart } from "../lazy_part.ts";
import type { Refusal, SessionMessage, Subscribe, Subscribed } from "../protocol/messages.ts";
import type { dequantize } from "../protocol/quantization.ts";
import { Opcode } from "../protocol/wire.ts";
import type { Connection } from "../session/connection.ts";
import { MAX_BODY_BYTES, type Session } from "../session/session.ts";
import type { Resumable, Wires } from "../session/wire.ts";
import { partsOf } from "./resubscription.ts";
import { StreamSinks } from "./stream_sinks.ts";
import type { SubscriptionCore } from "./subscription_core.ts";
import type { viewFields } from "./view_fields.ts";

/** Functions for views, which most subscriptions do not have. */
export interface Views {
  readonly viewFields: typeof viewFields;
  readonly dequantize: typeof dequantize;
}

export class Subscriptions {
  readonly sinks: StreamSinks;
  readonly views: LazyPart<Views>;
  readonly #connection: Connection;
  readonly #wires: Wires;
  readonly #cores = new Map<number, SubscriptionCore>();
  #resumable: Record<string, readonly [number, number]> = {};
  readonly #joinWaiters: (() => void)[] = [];
  /** Subscriptions whose start has not been answered yet: {@link Subscriptions.start} asks for them. */
  readonly #starting = new Set<SubscriptionCore>();

  constructor(connection: Connection, wires: Wires) {
    this.#connection = connection;
    this.#wires = wires;
    this.views = new LazyPart(connection, "take views", async () => {
      const [views, quantization] = await Promise.all([
        import("./view_fields.ts"),
        import("../protocol/quantization.ts"),
      ]);
      return { ...views, ...quantization };
    });
    this.sinks = new StreamSinks(connection, () => this.#cores.values(), this.views);
  }

  /** All subscriptions that are open. */
  get all(): Iterable<SubscriptionCore> {
    return this.#cores.values();
  }

  /**
   * Start a subscription; without a connection it waits for the next one.
   *
   * @param signal signal of the program, whose reason is thrown if it ends the wait for a connection.
   * @throws RequestRefused the gateway does not take it.
   * @throws ConnectionClosed the client is closed.
   */
  async start(core: SubscriptionCore, signal?: AbortSignal): Promise<void> {
    this.#cores.set(core.number, core);
    this.#starting.add(core);
    try {
      if (!core.settings.observe) {
        await this.sinks.mayAcknowledge();
      }
      for (;;) {
        const session = await this.#connection.whenReady(signal);
        if (core.buffer.over) {
          return;
        }
        try {
          await this.#ask(session, core);
          return;
        } catch (error) {
          const again = error instanceof ConnectionFailed || isDraining(error);
          if (this.#connection.error || !again) {
            throw error;
          }
        }
      }
    } catch (error) {
      this.#forget(core);
      core.buffer.end();
      throw error;
    } finally {
      this.#starting.delete(core);
    }
  }

  /** End a subscription. Without a connection the gateway has ended it already. */
  async stop(core: SubscriptionCore, keep: boolean): Promise<void> {
    this.reportConflated();
    const known = this.#forget(core);
    core.buffer.end();
    core.withdraw();
    this.sinks.flush();
    const { session } = this.#connection;
    if (known && session?.open) {
      const { number: subscription } = core;
      try {
        await session.ask((request) => ({
          opcode: Opcode.UNSUBSCRIBE,
          request,
          subscription,
          keep: keep || undefined,
        }));
      } catch {
        // A lost connection has ended it as well.
      }
    }
  }

  /**
   * Wait until the gateway has taken a subscription.
   *
   * @throws UsageError it has not been started, or is closed.
   */
  async whenJoined(core: SubscriptionCore): Promise<void> {
    for (;;) {
      if (!this.#cores.has(core.number)) {
        throw new UsageError(`the subscription to ${core.pattern} has not been started, or is closed`);
      }
      if (core.position.joined) {
        return;
      }
      await new Promise<void>((resolve) => this.#joinWaiters.push(resolve));
    }
  }

  /** Tell the gateway how many versions of states were conflated (spec section 7.9). */
  reportConflated(): void {
    const { session } = this.#connection;
    if (session?.open) {
      this.sinks.reportConflated(session);
    }
  }

  /** Bytes that wait for the program, and the time since the oldest of them arrived. */
  unread(nowMs: number): { bytes: number; ms: number } {
    let bytes = 0;
    let oldestMs = nowMs;
    for (const { buffer } of this.#cores.values()) {
      bytes += buffer.bytes;
      oldestMs = Math.min(oldestMs, buffer.oldestMs ?? nowMs);
    }
    return { bytes, ms: nowMs - oldestMs };
  }

  /** Send acknowledgements and reports now: the client closes. */
  flush(): void {
    this.sinks.flush();
    this.reportConflated();
  }

  /** Subscribe again on a new session. */
  attached(session: Session): void {
    for (const core of this.#cores.values()) {
      core.position.leave();
      if (!this.#starting.has(core)) {
        this.#resume(session, core);
      }
    }
  }

  /** Forget the ids of a session that has ended. */
  detached(resumable: Resumable): void {
    this.#resumable = { ...resumable };
    this.sinks.detached();
  }

  /** End all subscriptions: the client is closed. */
  close(error: Error | undefined): void {
    for (const core of this.#cores.values()) {
      core.buffer.end(error);
    }
    this.#cores.clear();
    for (const resolve of this.#joinWaiters.splice(0)) {
      resolve();
    }
  }

  async #resume(session: Session, core: SubscriptionCore): Promise<void> {
    try {
      await this.#ask(session, core);
    } catch (error) {
      if (error instanceof RequestRefused && !isDraining(error)) {
        this.#forget(core);
        core.buffer.end(error);
      } // otherwise the session has ended, and the next one asks again
    }
  }

  async #ask(session: Session, core: SubscriptionCore): Promise<void> {
    const { number: subscription, pattern, settings, position } = core;
    core.credit.begin(session, subscription);
    const resume = core.isView ? undefined : this.#offered(core);
    const streams = position.ask();
    const { since } = position;
    const { view, lower, observe } = settings;
    const asked = (request: number): SessionMessage | SessionMessage[] => {
      const whole: Subscribe = {
        opcode: Opcode.SUBSCRIBE,
        request,
        subscription,
        pattern,
        since,
        view,
        credits: core.credit.window,
        resume,
        observe,
        lower,
      };
      return streams ? partsOf(whole, streams, MAX_BODY_BYTES) : whole;
    };
    // Joined before the next frame: streams may be announced in the same WebSocket message.
    await session.ask<Subscribed>(asked, ({ positions }) => {
      if (this.#cores.get(subscription) === core) {
        position.join(positions, (gone) => this.#gone(gone));
        for (const resolve of this.#joinWaiters.splice(0)) {
          resolve();
        }
      }
      return false;
    });
  }

  /** Return the large messages that a subscription may go on with; each is offered once a session. */
  #offered(core: SubscriptionCore): Resumable | undefined {
    const offered = Object.entries(this.#resumable).filter(([name]) => core.matches(name));
    for (const [name] of offered) {
      delete this.#resumable[name];
    }
    return offered.length ? Object.fromEntries(offered) : undefined;
  }

  #gone(streams: readonly string[]): void {
    this.#wires.forget(streams);
    this.sinks.forget(streams);
  }

  #forget(core: SubscriptionCore): boolean {
    this.#wires.forget(this.sinks.leave(core));
    return this.#cores.delete(core.number);
  }

  /** Handle an ERROR for a subscription, of a view that does not fit; returns whether it names one. */
  refused({ subscription, stream, code, message }: Refusal): boolean {
    const core = subscription === undefined ? undefined : this.#cores.get(subscription);
    core?.report(new RequestRefused(code, stream === undefined ? message : `${stream}: ${message}`));
    return subscription !== undefined;
  }
}

function isDraining(error: unknown): boolean {
  return error instanceof RequestRefused && error.code === Code.DRAINING;
}
