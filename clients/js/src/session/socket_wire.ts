/** Far side of the client in the same thread: a WebSocket and a {@link Decoder} (see `wire.ts`). */

import { Decoder, type DecoderOptions } from "../decoding/decoder.ts";
import { Code, FrysError, nameOf, ProtocolViolation } from "../errors.ts";
import { joined } from "../protocol/buffers.ts";
import { DEFAULT_LIMITS } from "../protocol/limits.ts";
import { SUBPROTOCOL_BINARY } from "../protocol/wire.ts";
import type { Clock } from "./clock.ts";
import {
  type RefusedHandshake,
  retryAfterS,
  type WebSocketLike,
  type WebSocketType,
  webSocketType,
} from "./web_sockets.ts";
import {
  ABNORMAL,
  HIGH_WATER_BYTES,
  type Inbound,
  LOW_WATER_BYTES,
  type Wire,
  type WireEvents,
  type Wires,
} from "./wire.ts";

/** Time between two looks at what the socket has not sent yet: a WebSocket tells nobody. */
const LOOK_MS = 4;
/** `readyState` of a WebSocket that is closed. */
const CLOSED = 3;
const FORBIDDEN = "the platform does not connect; a page needs a policy that allows it (connect-src)";
/** Answers to a handshake that say when to return, and the close codes that they stand for. */
const REFUSALS: Readonly<Record<number, number>> = { 503: Code.TOO_MANY_CONNECTIONS, 429: Code.ADDRESS_LIMIT };

export class SocketWires implements Wires {
  readonly #clock: Clock;
  readonly #decoder: Decoder;
  readonly #socketType: WebSocketType | undefined;

  /**
   * @param socketType WebSocket to use; absent: that of the platform.
   */
  constructor(clock: Clock, options: DecoderOptions = {}, socketType?: WebSocketType) {
    this.#clock = clock;
    this.#decoder = new Decoder(clock, options);
    this.#socketType = socketType;
  }

  connect(url: string, events: WireEvents): Wire {
    return new SocketWire(url, events, this.#clock, this.#decoder, this.#socketType);
  }

  forget(streams: readonly string[]): void {
    this.#decoder.forget(streams);
  }
}

/**
 * Return connections by the WebSocket of the platform.
 *
 * @throws UsageError it has none: no gateway has refused anything.
 */
export async function platformWires(clock: Clock, options: DecoderOptions): Promise<SocketWires> {
  return new SocketWires(clock, options, await webSocketType());
}

class SocketWire implements Wire {
  readonly #events: WireEvents;
  readonly #clock: Clock;
  readonly #decoder: Decoder;
  #socket: WebSocketLike | undefined;
  #over = false;
  #problem = "";
  /** WebSocket messages that wait for a compressor. */
  readonly #waiting: Uint8Array[] = [];
  /** Items that were decoded, up to the end of a WebSocket message: with them may go the memory that they share. */
  #items: Inbound[] = [];
  #current: Generator<Inbound | Promise<void>, void, undefined> | undefined;
  #looking = false;

  constructor(url: string, events: WireEvents, clock: Clock, decoder: Decoder, socketType: WebSocketType | undefined) {
    this.#events = events;
    this.#clock = clock;
    this.#decoder = decoder;
    this.#open(url, socketType);
  }

  get unsentBytes(): number {
    return this.#socket?.bufferedAmount ?? 0;
  }

  send(frames: readonly Uint8Array[]): void {
    if (this.#over || !this.#socket) {
      return;
    }
    // A message of one buffer is copied as well: `ws` keeps it until it is written.
    this.#socket.send(joined(frames));
    if (!this.#looking && this.unsentBytes > HIGH_WATER_BYTES) {
      this.#looking = true;
      this.#look();
    }
  }

  close(code: number, reason: string): void {
    if (!this.#socket) {
      this.#finish(code, reason); // it is not made yet, and need not be
      return;
    }
    // A reason has at most 123 bytes of UTF-8 (RFC 6455, section 5.5).
    this.#socket.close(code, reason.slice(0, 40));
  }

  abort(code: number, reason: string): void {
    const socket = this.#socket;
    this.#finish(code, reason);
    if (socket?.terminate) {
      socket.terminate();
    } else {
      socket?.close();
    }
  }

  async #open(url: string, given: WebSocketType | undefined): Promise<void> {
    try {
      const type = given ?? (await webSocketType());
      if (this.#over) {
        return;
      }
      this.#listen(new type(url, SUBPROTOCOL_BINARY, SOCKET_OPTIONS));
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      this.#finish(error instanceof FrysError ? Code.PROTOCOL_ERROR : ABNORMAL, problem);
    }
  }

  #listen(socket: WebSocketLike): void {
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => this.#over || this.#events.opened();
    socket.onmessage = ({ data }) => this.#received(data);
    socket.onerror = ({ message }) => {
      this.#problem ||= message ?? "";
      if (socket.readyState === CLOSED) {
        // `onclose` follows in the same task, but not where a policy of the page forbids the connection.
        this.#clock.after(0, () => this.#finish(ABNORMAL, this.#problem || FORBIDDEN));
      }
    };
    socket.onclose = ({ code, reason }) => this.#finish(code, reason || this.#problem || endOf(code));
    socket.on?.("unexpected-response", (request, response) => this.#handshakeRefused(request, response));
  }

  #handshakeRefused(request: { destroy(): void }, response: RefusedHandshake): void {
    const status = response.statusCode ?? 0;
    const code = REFUSALS[status] ?? ABNORMAL;
    request.destroy();
    this.#finish(code, `the gateway answered the handshake with HTTP ${status}`, retryAfterS(response));
  }

  #received(data: unknown): void {
    if (this.#over) {
      return;
    }
    if (!(data instanceof ArrayBuffer)) {
      this.#violated(new ProtocolViolation(Code.MALFORMED_FRAME, "a text message in the binary subprotocol"));
      return;
    }
    this.#waiting.push(new Uint8Array(data));
    if (!this.#current) {
      this.#pump();
    }
  }

  /** Decode what has come, until a compressor has to be loaded. */
  #pump(): void {
    const items = this.#items;
    let loading: Promise<void> | undefined;
    try {
      for (let current = this.#current ?? this.#next(); current && !loading; current = this.#current ?? this.#next()) {
        this.#current = current;
        const { done, value } = current.next();
        if (done) {
          this.#current = undefined;
        } else if (value instanceof Promise) {
          loading = value;
        } else if (value) {
          items.push(value);
        }
      }
    } catch (error) {
      this.#deliver(items);
      this.#violated(error);
      return;
    }
    if (loading) {
      loading.then(() => this.#pump());
    } else {
      this.#items = [];
      this.#deliver(items);
    }
  }

  #next(): Generator<Inbound | Promise<void>, void, undefined> | undefined {
    const message = this.#waiting.shift();
    return message && this.#decoder.decode(message);
  }

  #deliver(items: readonly Inbound[]): void {
    if (items.length && !this.#over) {
      this.#events.received(items);
    }
  }

  #violated(error: unknown): void {
    const known = error instanceof ProtocolViolation;
    const code = known ? error.code : Code.MALFORMED_FRAME;
    const reason = error instanceof Error ? error.message : String(error);
    this.close(code, reason);
    this.#finish(code, reason);
  }

  #finish(code: number, reason: string, retryAfter?: number): void {
    if (this.#over) {
      return;
    }
    this.#over = true;
    this.#current = undefined;
    this.#waiting.length = 0;
    this.#events.closed({ code, reason, retry_after_s: retryAfter, resumable: this.#decoder.leave() });
  }

  #look(): void {
    if (this.#over) {
      return;
    }
    if (this.unsentBytes > LOW_WATER_BYTES) {
      this.#clock.after(LOOK_MS, () => this.#look());
    } else {
      this.#looking = false;
      this.#events.drained();
    }
  }
}

/** Return how a connection has ended that neither side has given a reason for; browsers give none to a page. */
function endOf(code: number): string {
  return code === ABNORMAL ? "there is no connection, and nothing tells why" : nameOf(code);
}

/** Options that `ws` knows, and other WebSockets ignore. */
const SOCKET_OPTIONS = {
  perMessageDeflate: false,
  maxPayload: DEFAULT_LIMITS.max_frame_bytes,
  skipUTF8Validation: true,
};
