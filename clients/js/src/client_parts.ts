/** Parts of a client, and their wiring: each frame of the gateway to the part that handles it. */

import { Code, type ConnectionFailed, FrysError, InvalidArgument, RequestRefused } from "./errors.ts";
import type { ClientOptions } from "./options.ts";
import { onReturn } from "./page_events.ts";
import { Presences } from "./presence/presences.ts";
import { CODEC_NAMES, FILTER_NAMES } from "./protocol/codecs/registry.ts";
import { DEFAULT_LIMITS } from "./protocol/limits.ts";
import { CLIENT_TYPES, type Notice, type Refusal } from "./protocol/messages.ts";
import { checkClientId } from "./protocol/names.ts";
import { Opcode, VERSION } from "./protocol/wire.ts";
import { Reports } from "./report.ts";
import { Requester } from "./requests/requester.ts";
import { Responder } from "./requests/responder.ts";
import { Aliases } from "./sending/aliases.ts";
import { Publisher } from "./sending/publisher.ts";
import { Sender } from "./sending/sender.ts";
import { DEFAULT_BACKOFF } from "./session/backoff.ts";
import { type Clock, drawnNumber, SYSTEM_CLOCK } from "./session/clock.ts";
import { Connection } from "./session/connection.ts";
import { GatewayAddress } from "./session/gateway_address.ts";
import type { Session } from "./session/session.ts";
import type { Failure, Head, Inbound, Resumable, Wires } from "./session/wire.ts";
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
  readonly sender: Sender;
  readonly publisher: Publisher;
  readonly subscriptions: Subscriptions;
  readonly requester: Requester;
  readonly responder: Responder;
  readonly presences: Presences;
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
        drained: () => this.sender.pump(),
        detached: (resumable) => this.#detached(resumable),
        closed: (error) => this.#closed(error),
        changed: (state) => options.onState && this.reports.call(() => options.onState?.(state)),
        reported: (error) => this.reports.report(error),
      },
    );
    this.sender = new Sender(this.connection, clock, this.reports);
    const aliases = new Aliases();
    this.publisher = new Publisher(this.connection, clock, this.sender, aliases, {
      producer: drawnNumber(clock),
      timeoutMs: this.timeoutMs,
      maxPendingBytes: options.maxPendingBytes ?? DEFAULT_MAX_PENDING_BYTES,
    });
    this.subscriptions = new Subscriptions(this.connection, wires);
    this.requester = new Requester(this.connection, clock, this.sender, aliases, this.timeoutMs);
    this.responder = new Responder(this.connection, clock, this.sender, this.reports);
    this.presences = new Presences(this.connection, clock, this.timeoutMs);
    this.#leavePage = onReturn(() => this.connection.look());
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
    this.publisher.flush();
    this.subscriptions.flush();
    await this.#sent();
    this.presences.signOff();
    const { unsent } = this.sender;
    if (unsent) {
      this.reports.report(new FrysError(`${unsent} messages could not be sent before the client was closed`));
    }
    await this.connection.close(this.#closeTimeoutMs);
  }

  async #sent(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.clock.after(this.#closeTimeoutMs, resolve);
      this.sender.drained().then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #attached(session: Session): void {
    this.subscriptions.attached(session);
    this.publisher.attached(session);
    this.responder.attached(session);
    this.requester.attached();
    this.presences.attached(session);
    this.sender.pump();
  }

  #detached(resumable: Resumable): void {
    this.subscriptions.detached(resumable);
    this.publisher.detached();
    this.responder.detached();
    this.requester.detached();
    this.presences.detached();
  }

  #closed(error: ConnectionFailed): void {
    const byProgram = this.#closing !== undefined;
    this.publisher.close(error);
    this.requester.close(error);
    const reason = byProgram ? undefined : error;
    this.subscriptions.close(reason);
    this.responder.close(reason);
    this.presences.close(reason);
    this.sender.release();
    this.#leavePage();
    this.#wires.end?.();
  }

  #beating(): void {
    this.subscriptions.reportConflated();
    const { bytes, ms } = this.subscriptions.unread(this.clock.nowMs());
    // An empty report follows once, when what waited is taken.
    if (bytes || this.#hadUnread) {
      this.#hadUnread = bytes > 0;
      this.connection.session?.signal({
        opcode: Opcode.REPORT,
        decoded_bytes: 0n,
        decode_ns: 0n,
        unread_bytes: BigInt(bytes),
        unread_ns: bytes ? BigInt(Math.round(ms * 1e6)) : 0n,
        positions: [],
      });
    }
  }

  #head(head: Head): void {
    if (head.of === Opcode.REPLY) {
      this.requester.progressed(head.correlation);
    } else if (head.of !== Opcode.REQUEST) {
      this.subscriptions.sinks.headReceived(head);
    }
  }

  #failed(failure: Failure): void {
    if (failure.of === Opcode.MESSAGE || failure.of === Opcode.BATCH) {
      this.subscriptions.sinks.failed(failure);
    } else if (failure.of === Opcode.REQUEST) {
      this.responder.failed(failure);
    } else if (failure.of === Opcode.REPLY) {
      this.requester.failed(failure);
    } else {
      this.reports.report(new RequestRefused(failure.code, `a frame was left out: ${failure.problem}`));
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
    const handled =
      this.requester.refused(error) ||
      this.responder.refused(error) ||
      this.publisher.refused(error) ||
      this.subscriptions.refused(error);
    if (!handled) {
      this.reports.report(new RequestRefused(error.code, error.message));
    }
  }

  #received(item: Inbound): void {
    switch (item.opcode) {
      case Opcode.MESSAGE:
      case Opcode.BATCH:
        this.subscriptions.sinks.arrived(item);
        break;
      case Opcode.REQUEST:
        this.responder.requested(item);
        break;
      case Opcode.REPLY:
        this.requester.replied(item);
        break;
      case Opcode.CANCEL:
        this.responder.cancelled(item);
        break;
      case Opcode.MEMBERS:
        this.presences.received(item);
        break;
      case "progress":
        this.requester.progressed(item.correlation);
        break;
      case "head":
        this.#head(item);
        break;
      case "failure":
        this.#failed(item);
        break;
      case Opcode.STREAM:
        if (!this.publisher.streamReceived(item)) {
          this.subscriptions.sinks.streamReceived(item);
        }
        break;
      case Opcode.ACK:
        this.publisher.acknowledged(item);
        break;
      case Opcode.RESUME:
        this.sender.resumed(item.transfer, item.index);
        break;
      case Opcode.ABORT:
        this.subscriptions.sinks.abortReceived(item);
        break;
      case Opcode.GAP:
        this.subscriptions.sinks.gapReceived(item);
        break;
      case Opcode.REPLAY:
        this.subscriptions.sinks.replayReceived(item);
        break;
      case Opcode.NOTICE:
        this.#noticed(item);
        break;
      default:
    }
  }
}
