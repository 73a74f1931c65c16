/** Parts of a client, and their wiring: each frame of the gateway to the part that handles it. */

import { Code, type ConnectionFailed, FrysError, InvalidArgument, RequestRefused } from "./errors.ts";
import type { Inquiries } from "./inquiries.ts";
import { LazyPart, type Part } from "./lazy_part.ts";
import type { ClientOptions } from "./options.ts";
import { onReturn } from "./page_events.ts";
import type { Presences } from "./presence/presences.ts";
import { CODEC_NAMES, FILTER_NAMES } from "./protocol/codecs/offered.ts";
import { DEFAULT_LIMITS } from "./protocol/limits.ts";
import { CLIENT_TYPES, type Notice, type Refusal } from "./protocol/messages.ts";
import { checkClientId } from "./protocol/names.ts";
import { Opcode, VERSION } from "./protocol/wire.ts";
import { Reports } from "./report.ts";
import type { RequestsPart } from "./requests/requests_part.ts";
import { Outbox } from "./sending/outbox.ts";
import type { SendingPart } from "./sending/sending_part.ts";
import { DEFAULT_BACKOFF } from "./session/backoff.ts";
import { type Clock, drawnNumber, SYSTEM_CLOCK } from "./session/clock.ts";
import { Connection } from "./session/connection.ts";
import { GatewayAddress } from "./session/gateway_address.ts";
import type { Session } from "./session/session.ts";
import type { Inbound, Resumable, Wires } from "./session/wire.ts";
import type { ReceiverLoad } from "./subscribing/receiver_load.ts";
import { Subscriptions } from "./subscribing/subscriptions.ts";

const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;
const DEFAULT_CLOSE_TIMEOUT_MS = 5000;
const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_MAX_PENDING_BYTES = 64 * 1024 * 1024;
const AGENT = "frys-js/0.1";
/** Filter by which a client says that it applies patches (spec section 5.4). */
const PATCH = "patch";

export class ClientParts {
  readonly clock: Clock;
  readonly reports: Reports;
  readonly connection: Connection;
  readonly subscriptions: Subscriptions;
  readonly outbox: Outbox;
  readonly sending: LazyPart<SendingPart>;
  readonly requests: LazyPart<RequestsPart>;
  readonly presences: LazyPart<Presences>;
  readonly inquiries: LazyPart<Inquiries>;
  readonly load: LazyPart<ReceiverLoad>;
  readonly timeoutMs: number;
  readonly isExtension: boolean;
  /** Whether subscriptions observe unless they say otherwise: nobody would come back for the client's messages. */
  readonly isObserver: boolean;
  readonly #closeTimeoutMs: number;
  readonly #options: ClientOptions;
  readonly #wires: Wires;
  /** End of the look at the page. */
  readonly #leavePage: () => void;
  #closing: Promise<void> | undefined;
  #subscriptions = 0;
  #hadUnread = false;
  /** Bytes that were decoded since the last report, and the time that this took. */
  #decoded = { bytes: 0, ms: 0 };

  constructor(url: string, options: ClientOptions, wires: Wires) {
    const { clientType = "agent", clientId, clock = SYSTEM_CLOCK, backoff } = options;
    if (!CLIENT_TYPES.includes(clientType)) {
      throw new InvalidArgument(`clientType '${clientType}' is none: use one of ${CLIENT_TYPES.join(", ")}`);
    }
    if (clientId !== undefined) {
      checkClientId(clientId);
    }
    this.#options = options;
    this.#wires = wires;
    this.clock = clock;
    this.reports = new Reports(clock, options.onError);
    this.timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#closeTimeoutMs = options.closeTimeoutMs ?? DEFAULT_CLOSE_TIMEOUT_MS;
    this.isExtension = clientType === "extension";
    this.isObserver = clientId === undefined || clientType === "admin_panel" || this.isExtension;
    const maxMessageBytes = options.maxMessageBytes ?? DEFAULT_LIMITS.max_message_bytes;
    this.connection = new Connection(
      wires,
      clock,
      {
        address: new GatewayAddress(url, clientType),
        clientId,
        token: options.token ?? null,
        backoff: backoff === null ? null : { ...DEFAULT_BACKOFF, ...backoff },
        connectTimeoutMs: options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
        hello: {
          opcode: Opcode.HELLO,
          versions: [VERSION],
          client_type: clientType,
          agent: options.agent ?? AGENT,
          codecs: CODEC_NAMES,
          filters: [...FILTER_NAMES, PATCH],
          max_message_bytes: BigInt(maxMessageBytes),
          instance: drawnNumber(clock),
          credits: true,
        },
      },
      {
        attached: (session) => this.#attached(session),
        received: (item) => this.#received(item),
        refused: (error) => this.#refused(error),
        beating: () => this.#beating(),
        probed: () => this.subscriptions.sinks.reportHeld(),
        drained: () => this.sending.loaded?.sender.pump(),
        detached: (resumable) => this.#detached(resumable),
        closed: (error) => this.#closed(error),
        changed: (state) => options.onState && this.reports.call(() => options.onState?.(state)),
        reported: (error) => this.reports.report(error),
      },
    );
    const { connection, reports, timeoutMs } = this;
    this.subscriptions = new Subscriptions(connection, wires);
    const attach = (part: Part): void => {
      if (connection.session) {
        part.attached(connection.session);
      }
    };
    this.sending = new LazyPart(
      connection,
      "send",
      async () => {
        const { SendingPart } = await import("./sending/sending_part.ts");
        return new SendingPart(connection, clock, reports, { producer: drawnNumber(clock), timeoutMs });
      },
      attach,
    );
    this.requests = new LazyPart(
      connection,
      "request",
      async () => {
        const [sending, { RequestsPart }] = await Promise.all([
          this.sending.load(),
          import("./requests/requests_part.ts"),
        ]);
        return new RequestsPart(connection, clock, reports, sending, timeoutMs);
      },
      attach,
    );
    this.presences = new LazyPart(
      connection,
      "attend",
      async () => {
        const { Presences } = await import("./presence/presences.ts");
        return new Presences(connection, clock, timeoutMs);
      },
      attach,
    );
    this.inquiries = new LazyPart(connection, "ask the gateway", async () => {
      const { Inquiries } = await import("./inquiries.ts");
      return new Inquiries(connection, this.subscriptions);
    });
    this.load = new LazyPart(connection, "report", async () => {
      const { ReceiverLoad } = await import("./subscribing/receiver_load.ts");
      return new ReceiverLoad();
    });
    const maxPendingBytes = options.maxPendingBytes ?? DEFAULT_MAX_PENDING_BYTES;
    this.outbox = new Outbox(connection, clock, reports, this.sending, { timeoutMs, maxPendingBytes });
    this.#leavePage = onReturn(() => connection.look());
  }

  /** Parts that are there, in the order in which they learn of a session: those of requests use that of messages. */
  get #loaded(): Part[] {
    return [this.sending, this.requests, this.presences].flatMap(({ loaded }) => loaded ?? []);
  }

  /** Return the number of a new subscription or inbox. */
  nextSubscription(): number {
    return ++this.#subscriptions;
  }

  /** Close the client, once. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.connection.state === "closed") {
      return;
    }
    this.subscriptions.flush();
    await this.#sent();
    this.presences.loaded?.signOff();
    const { unsent } = this.outbox;
    if (unsent) {
      this.reports.report(new FrysError(`${unsent} messages could not be sent before the client was closed`));
    }
    await this.connection.close(this.#closeTimeoutMs);
  }

  async #sent(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.clock.after(this.#closeTimeoutMs, resolve);
      this.outbox.drained().then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #attached(session: Session): void {
    this.subscriptions.attached(session);
    for (const part of this.#loaded) {
      part.attached(session);
    }
    this.sending.loaded?.sender.pump();
  }

  #detached(resumable: Resumable): void {
    this.subscriptions.detached(resumable);
    for (const part of this.#loaded) {
      part.detached();
    }
  }

  #closed(error: ConnectionFailed): void {
    const byProgram = this.#closing !== undefined;
    this.subscriptions.close(byProgram ? undefined : error);
    for (const part of this.#loaded) {
      part.close(error, byProgram);
    }
    this.#leavePage();
    this.#wires.end?.();
  }

  #beating(): void {
    this.subscriptions.reportConflated();
    const { session } = this.connection;
    const { bytes: unreadBytes, ms: unreadMs } = this.subscriptions.unread(this.clock.nowMs());
    const { bytes: decodedBytes, ms: decodeMs } = this.#decoded;
    // An empty report follows once, when what waited is taken.
    if (session && (unreadBytes || this.#hadUnread || decodedBytes)) {
      this.#hadUnread = unreadBytes > 0;
      this.#decoded = { bytes: 0, ms: 0 };
      this.load.load().then(
        (load) => load.report(session, { unreadBytes, unreadMs, decodedBytes, decodeMs }, this.subscriptions.all),
        () => undefined, // the next heartbeat tries again
      );
    }
  }

  #noticed(notice: Notice): void {
    const { onNotice } = this.#options;
    const { code, reason, stream, first, last } = notice;
    if (onNotice) {
      this.reports.call(() => onNotice(notice));
      return;
    }
    const where = stream === undefined ? "" : `messages ${first} to ${last} of ${stream}: `;
    const error = new RequestRefused(code, `${where}${reason}`);
    if (code === Code.VIEW_LOWERED || code === Code.VIEW_RESTORED) {
      this.reports.warn(error);
    } else {
      this.reports.report(error);
    }
  }

  #refused(error: Refusal): void {
    if (!this.#loaded.some((part) => part.refused(error)) && !this.subscriptions.refused(error)) {
      this.reports.report(new RequestRefused(error.code, error.message));
    }
  }

  #received(item: Inbound): void {
    if ("decoded" in item && item.decoded) {
      this.#decoded.bytes += item.decoded.bytes;
      this.#decoded.ms += item.decoded.ms;
    }
    if (this.subscriptions.sinks.received(item) || this.#loaded.some((part) => part.received(item))) {
      return;
    }
    if (item.opcode === Opcode.NOTICE) {
      this.#noticed(item);
    } else if (item.opcode === "failure") {
      this.reports.report(new RequestRefused(item.code, `a frame was left out: ${item.problem}`));
    }
  }
}
