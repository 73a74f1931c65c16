/** Connection of a client over all its sessions: states, attempts, and pauses between them (`spec/client.md`, sections 2 and 3). */

import { type Action, actionOf, Code, ConnectionClosed, ConnectionFailed, FrysError, nameOf } from "../errors.ts";
import type { Hello, Refusal, Welcome } from "../protocol/messages.ts";
import { type Backoff, DEFAULT_BACKOFF, pauseMs } from "./backoff.ts";
import type { Clock, Timer } from "./clock.ts";
import type { GatewayAddress } from "./gateway_address.ts";
import { type Lost, Session } from "./session.ts";
import { WaitingCalls } from "./waiting_calls.ts";
import { ABNORMAL, type Inbound, type Resumable, type Wires } from "./wire.ts";

/** State of a client. */
export type ClientState = "connecting" | "connected" | "reconnecting" | "closed";

/** Token, or a function that gives one before every attempt. */
export type TokenSource = string | null | (() => string | null | Promise<string | null>);

/** Callbacks of a connection to its client. */
export interface ConnectionEvents {
  /** Send everything again: a session stands. */
  attached(session: Session): void;
  received(item: Inbound): void;
  refused(error: Refusal): void;
  beating(): void;
  probed(): void;
  drained(): void;
  /** Learn that a session has ended; another one may follow. */
  detached(resumable: Resumable): void;
  /** Learn that no other session follows. */
  closed(error: ConnectionFailed): void;
  /** Learn the new state. */
  changed(state: ClientState): void;
  /** Take an error that no call can throw. */
  reported(error: unknown): void;
}

/** Settings of a connection. */
export interface ConnectionOptions {
  readonly address: GatewayAddress;
  readonly hello: Omit<Hello, "token" | "client_id" | "generation">;
  readonly clientId: string | undefined;
  readonly token: TokenSource;
  readonly backoff: Backoff | null;
  readonly connectTimeoutMs: number;
}

/** Action before the next attempt, and the seconds that the gateway has named. */
interface Next {
  readonly action: Action;
  readonly retryAfterS: number | undefined;
}

const BY_PROGRAM = "closed by the program";

export class Connection {
  readonly #wires: Wires;
  readonly #clock: Clock;
  readonly #options: ConnectionOptions;
  readonly #events: ConnectionEvents;
  #state: ClientState = "connecting";
  #session: Session | undefined;
  #clientId: string | undefined;
  #generation: number | undefined;
  #attempts = 0;
  #error: ConnectionFailed | undefined;
  /** Reason of the last loss, or of the last failed attempt. */
  #outage = "";
  #lostMs = 0;
  readonly #waiting = new WaitingCalls();
  #pause: { timer: Timer; end(): void; mayEndEarly: boolean } | undefined;
  readonly #ended: (() => void)[] = [];
  #attempt: Session | undefined;

  constructor(wires: Wires, clock: Clock, options: ConnectionOptions, events: ConnectionEvents) {
    this.#wires = wires;
    this.#clock = clock;
    this.#options = options;
    this.#events = events;
    this.#clientId = options.clientId;
  }

  get state(): ClientState {
    return this.#state;
  }

  /** Id of the client: that of the program, or the one that the gateway has chosen. */
  get clientId(): string | undefined {
    return this.#clientId;
  }

  /** Session that stands; it may have been told to go away. */
  get session(): Session | undefined {
    return this.#session;
  }

  /** Session on which new work may be started. */
  get ready(): Session | undefined {
    return this.#session?.open && !this.#session.draining ? this.#session : undefined;
  }

  /** Error of every call once the client is closed. */
  get error(): ConnectionFailed | undefined {
    return this.#error;
  }

  /** Reason for which a message could not be sent by now. */
  get whyUnsent(): string {
    const seconds = ((this.#clock.nowMs() - this.#lostMs) / 1000).toFixed(1);
    return this.#session ? "there was no room" : `no connection for ${seconds} s (${this.#outage})`;
  }

  /**
   * Return the session on which new work may be started, once there is one.
   *
   * @param call signal of the call that waits; its reason is thrown once it is given up.
   */
  async whenReady(call?: AbortSignal): Promise<Session> {
    call?.throwIfAborted();
    if (this.#error) {
      throw this.#error;
    }
    return this.ready ?? this.#waiting.wait(call);
  }

  /**
   * Connect: one attempt, and another each time that the gateway names a time to return.
   *
   * @throws ConnectionFailed as `connect`.
   */
  async open(): Promise<Welcome> {
    const deadlineMs = this.#clock.nowMs() + this.#options.connectTimeoutMs;
    for (;;) {
      try {
        return (await this.#try()).welcome;
      } catch (error) {
        const after = error instanceof ConnectionFailed ? error.retryAfterS : undefined;
        if (after === undefined || this.#clock.nowMs() + after * 1000 > deadlineMs || this.#state === "closed") {
          this.#finish(error instanceof ConnectionFailed ? error : new ConnectionFailed(String(error)));
          throw error;
        }
        await this.#sleep(this.#pauseFor("reconnect_later", after), false);
      }
    }
  }

  /** Try to connect at once, and look whether the present connection lives: the network is back, or the page visible. */
  look(): void {
    this.#session?.look();
    if (this.#pause?.mayEndEarly) {
      this.#pause.end();
    }
  }

  /**
   * Close for good.
   *
   * @param timeoutMs time for the close handshake, after which the connection is cut off.
   */
  async close(timeoutMs: number): Promise<void> {
    if (this.#state === "closed") {
      return;
    }
    const session = this.#session ?? this.#attempt;
    const error = new ConnectionClosed(Code.NORMAL, BY_PROGRAM);
    if (!session) {
      this.#finish(error);
      return;
    }
    this.#error = error;
    const ended = new Promise<void>((resolve) => this.#ended.push(resolve));
    session.close(Code.NORMAL, "");
    const timer = this.#clock.after(timeoutMs, () => session.abort(Code.NORMAL, BY_PROGRAM));
    await ended;
    timer.cancel();
    this.#finish(error);
  }

  async #try(): Promise<Session> {
    const token = await this.#token();
    if (this.#error) {
      throw this.#error; // closed meanwhile
    }
    const { address, hello, connectTimeoutMs } = this.#options;
    const own = { client_id: this.#clientId, token, generation: this.#generation };
    const { versions, client_type, ...rest } = hello;
    const url = address.next;
    try {
      return await new Promise<Session>((resolve, reject) => {
        let welcomed = false;
        const timer = this.#clock.after(connectTimeoutMs, () =>
          session.abort(ABNORMAL, `no answer within ${connectTimeoutMs / 1000} s`),
        );
        const session = new Session(this.#wires, url, { ...rest, versions, client_type, ...own }, this.#clock, {
          ...this.#events,
          welcomed: () => {
            welcomed = true;
            timer.cancel();
            this.#attempt = undefined;
            try {
              this.#welcomed(session);
              resolve(session);
            } catch (error) {
              this.#events.reported(error);
              session.abort(ABNORMAL, `the connection could not be used: ${String(error)}`);
            }
          },
          lost: (lost) => {
            timer.cancel();
            this.#attempt = undefined;
            if (welcomed) {
              this.#lost(lost);
            } else {
              reject(this.#refusal(lost, url));
            }
            for (const ended of this.#ended.splice(0)) {
              ended();
            }
          },
        });
        this.#attempt = session;
      });
    } catch (error) {
      const final = error instanceof ConnectionClosed && !this.#mayReconnect(actionOf(error.code ?? 0));
      if (address.failed(final) && this.#state === "reconnecting") {
        throw new ConnectionFailed(error instanceof Error ? error.message : String(error));
      }
      throw error;
    }
  }

  async #token(): Promise<string | null> {
    const { token, connectTimeoutMs } = this.#options;
    if (typeof token !== "function") {
      return token;
    }
    const given = token();
    if (!(given instanceof Promise)) {
      return given;
    }
    let timer: Timer | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = this.#clock.after(connectTimeoutMs, () =>
        reject(new ConnectionFailed(`the function for tokens gave none within ${connectTimeoutMs / 1000} s`)),
      );
    });
    try {
      return await Promise.race([given, late]);
    } finally {
      timer?.cancel();
    }
  }

  #welcomed(session: Session): void {
    this.#clientId = session.welcome.client_id;
    this.#generation = session.welcome.generation ?? this.#generation;
    this.#options.address.connected();
    this.#session = session;
    this.#sinceMs = this.#clock.nowMs();
    this.#change("connected");
    this.#events.attached(session);
    this.#waiting.resolve(session);
  }
  #sinceMs = 0;

  #lost(lost: Lost): void {
    this.#session = undefined;
    this.#lostMs = this.#clock.nowMs();
    this.#outage = lost.reason;
    const problem = lost.address && this.#options.address.move(lost.address);
    if (problem) {
      this.#events.reported(new FrysError(problem));
    }
    this.#events.detached(lost.resumable);
    if (this.#error) {
      return; // the program closes the client
    }
    const action = actionOf(lost.code);
    if (!this.#mayReconnect(action)) {
      this.#finishReported(new ConnectionClosed(lost.code, lost.reason));
    } else if (!this.#options.backoff) {
      this.#finishReported(new ConnectionFailed(`the connection was lost: ${lost.reason} (${nameOf(lost.code)})`));
    } else {
      this.#change("reconnecting");
      if (this.#lostMs - this.#sinceMs >= this.#options.backoff.stableMs) {
        this.#attempts = 0;
      }
      this.#reconnect(action, lost.retryAfterS);
    }
  }

  async #reconnect(action: Action, retryAfterS: number | undefined): Promise<void> {
    let next: Next | undefined = { action, retryAfterS };
    while (next && !this.#error) {
      await this.#sleep(this.#pauseFor(next.action, next.retryAfterS), next.retryAfterS === undefined);
      this.#attempts++;
      if (this.#error) {
        return;
      }
      try {
        await this.#try();
        return;
      } catch (error) {
        next = this.#afterFailure(error);
      }
    }
  }

  /** Return the next step after a failed attempt; undefined: another one cannot help. */
  #afterFailure(error: unknown): Next | undefined {
    this.#outage = error instanceof Error ? error.message : String(error);
    const failed = error instanceof ConnectionFailed ? error : undefined;
    const [code, retryAfterS] = [failed?.code, failed?.retryAfterS];
    const action = code === undefined ? "reconnect" : actionOf(code);
    if (error instanceof ConnectionClosed && !this.#mayReconnect(action)) {
      if (!this.#error) {
        this.#finishReported(error);
      }
      return undefined;
    }
    if (!(error instanceof ConnectionFailed)) {
      this.#events.reported(error);
    }
    return { action, retryAfterS };
  }

  #pauseFor(action: Action, retryAfterS: number | undefined): number {
    return pauseMs(this.#options.backoff ?? DEFAULT_BACKOFF, action, this.#attempts, this.#clock, retryAfterS);
  }

  #sleep(delayMs: number, mayEndEarly: boolean): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        this.#pause?.timer.cancel();
        this.#pause = undefined;
        resolve();
      };
      this.#pause = { timer: this.#clock.after(delayMs, end), end, mayEndEarly };
    });
  }

  #mayReconnect(action: Action): boolean {
    return action === "refresh_token" ? typeof this.#options.token === "function" : action !== "do_not_reconnect";
  }

  #refusal({ code, reason, retryAfterS }: Lost, url: string): ConnectionFailed {
    const action = actionOf(code);
    const where = new URL(url).origin;
    if (!this.#mayReconnect(action) || action === "refresh_token") {
      return new ConnectionClosed(code, `${where} refused the client: ${reason}`);
    }
    const known = code >= 4000 ? code : undefined;
    const help = "check that the gateway runs, its host and port (not the admin port), and ws:// or wss://";
    return new ConnectionFailed(`cannot connect to ${where}: ${reason}; ${help}`, known, retryAfterS);
  }

  #finishReported(error: ConnectionFailed): void {
    this.#finish(error);
    this.#events.reported(error);
  }

  #finish(error: ConnectionFailed): void {
    if (this.#state === "closed") {
      return;
    }
    this.#error = error;
    this.#session = undefined;
    this.#change("closed");
    this.#pause?.end();
    this.#waiting.reject(error);
    this.#events.closed(error);
  }

  #change(state: ClientState): void {
    if (this.#state !== state) {
      this.#state = state;
      this.#events.changed(state);
    }
  }
}
