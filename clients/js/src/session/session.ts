/**
 * Session with a gateway, from HELLO to the close (spec sections 3 and 9).
 *
 * A session knows its protocol state, the answers to its requests and the gateway's clock. It hands all else to the client, and
 * ends with its connection: the client then opens another.
 */

import { Code, ConnectionFailed, RequestRefused } from "../errors.ts";
import { bytesOf } from "../protocol/buffers.ts";
import type { GoAway, Hello, Refusal, SessionMessage, Welcome } from "../protocol/messages.ts";
import { writeSession } from "../protocol/session_body.ts";
import { type Signal, writeSignal } from "../protocol/signals.ts";
import {
  CHUNK_BYTES_MULTIPLE,
  CHUNK_HEADER_BYTES,
  ENCODING_BLOCK_BYTES,
  MAX_CHUNK_BYTES,
  MIN_CHUNK_BYTES,
  Opcode,
} from "../protocol/wire.ts";
import { type Answer, Answers, isAnswer } from "./answers.ts";
import type { Clock } from "./clock.ts";
import { GatewayClock } from "./gateway_clock.ts";
import { Heartbeat } from "./heartbeat.ts";
import { HIGH_WATER_BYTES, type Inbound, type Wire, type WireClosed, type Wires } from "./wire.ts";

/** Collected frames are sent when they exceed this, at the latest at the end of the turn of the event loop. */
const CORKED_BYTES = 64 * 1024;
/** Room in a WebSocket message for everything around a payload or a meta block. */
const FRAME_ROOM_BYTES = 4096;
/** Largest JSON body that the gateway reads (spec section 13). */
export const MAX_BODY_BYTES = 64 * 1024;

/** End of a session. */
export interface Lost {
  readonly code: number;
  readonly reason: string;
  /** Seconds after which the gateway wants the client back; absent: it has named none. */
  readonly retryAfterS?: number | undefined;
  /** Gateway to which the client is to go. */
  readonly address?: string | undefined;
  readonly resumable: WireClosed["resumable"];
}

/** Callbacks of a session to its client. */
export interface SessionEvents {
  /** Send everything again: WELCOME has come. */
  welcomed(session: Session): void;
  /** Take an item that the session does not handle itself. */
  received(item: Inbound): void;
  /** Take an ERROR that answers none of the session's requests. */
  refused(error: Refusal): void;
  beating(): void;
  probed(): void;
  /** Go on writing: there is room again. */
  drained(): void;
  /** Learn that the session has ended, also one that was never welcomed. */
  lost(lost: Lost): void;
}

export class Session {
  readonly clock: GatewayClock;
  readonly #events: SessionEvents;
  readonly #heartbeat: Heartbeat;
  readonly #answers = new Answers();
  readonly #wire: Wire;
  readonly #hello: Hello;
  #welcome: Welcome | undefined;
  #helloNs = 0n;
  #over = false;
  #draining = false;
  #farewell: GoAway | undefined;
  #lastError: Refusal | undefined;
  #corked: Uint8Array[] = [];
  #corkedBytes = 0;
  #flushing = false;

  constructor(wires: Wires, url: string, hello: Hello, clock: Clock, events: SessionEvents) {
    this.clock = new GatewayClock(clock);
    this.#events = events;
    this.#hello = hello;
    this.#heartbeat = new Heartbeat(clock, this.clock, {
      send: (signal) => this.signal(signal),
      beating: () => events.beating(),
      probed: () => events.probed(),
      silent: (silentS) => this.abort(Code.HEARTBEAT_TIMEOUT, `nothing was received for ${Math.round(silentS)} s`),
    });
    this.#wire = wires.connect(url, {
      opened: () => this.#opened(),
      received: (items) => this.#received(items),
      drained: () => this.#events.drained(),
      closed: (closed) => this.#closed(closed),
    });
  }

  /** Answer of the gateway to HELLO; there once `welcomed` was called. */
  get welcome(): Welcome {
    if (!this.#welcome) {
      throw new ConnectionFailed("the gateway has not answered HELLO yet");
    }
    return this.#welcome;
  }

  /** Whether frames can be sent: no side has closed yet. */
  get open(): boolean {
    return this.#welcome !== undefined && !this.#over;
  }

  /** Whether GO_AWAY was received: nothing new may be started. */
  get draining(): boolean {
    return this.#draining;
  }

  /** Size of the chunks that payloads are cut into. */
  get chunkBytes(): number {
    const advice = Math.min(this.welcome.limits.chunk_bytes, this.frameBytes, MAX_CHUNK_BYTES);
    return Math.floor(Math.max(MIN_CHUNK_BYTES, advice) / CHUNK_BYTES_MULTIPLE) * CHUNK_BYTES_MULTIPLE;
  }

  /** Largest payload and meta block that one frame may carry. */
  get frameBytes(): number {
    const room = FRAME_ROOM_BYTES + CHUNK_HEADER_BYTES + ENCODING_BLOCK_BYTES;
    return this.welcome.limits.max_frame_bytes - room;
  }

  /** Bytes that were sent and have not left the process. */
  get unsentBytes(): number {
    return this.#wire.unsentBytes + this.#corkedBytes;
  }

  /** Return whether writers of large messages have to wait for room. */
  congested(): boolean {
    return this.unsentBytes > HIGH_WATER_BYTES;
  }

  /**
   * Send complete frames, which share a WebSocket message with others of the same turn; dropped if the session is over.
   *
   * @returns bytes of the frames.
   */
  send(buffers: readonly Uint8Array[]): number {
    const size = bytesOf(buffers);
    if (this.#over) {
      return size;
    }
    if (this.#corkedBytes && this.#corkedBytes + size > CORKED_BYTES) {
      this.flush();
    }
    this.#corked.push(...buffers);
    this.#corkedBytes += size;
    if (this.#corkedBytes > CORKED_BYTES) {
      this.flush();
    } else if (!this.#flushing) {
      this.#flushing = true;
      queueMicrotask(() => this.flush());
    }
    return size;
  }

  /** Send a signal. */
  signal(signal: Signal): void {
    this.send([writeSignal(signal)]);
  }

  /** Send a message with a JSON body. */
  tell(message: SessionMessage): void {
    this.send(writeSession(message));
  }

  /** Hand the collected frames to the socket. */
  flush(): void {
    this.#flushing = false;
    if (this.#corkedBytes && !this.#over) {
      const frames = this.#corked;
      this.#corked = [];
      this.#corkedBytes = 0;
      this.#wire.send(frames);
    }
  }

  /**
   * Send a request and return its last answer.
   *
   * @param request returns the frames of the request, whose last one is answered.
   * @param answered called with each answer before the next frame is handled; returns whether another one follows.
   * @throws RequestRefused the gateway refused it, or it is too large.
   * @throws ConnectionFailed the connection was lost before the answer.
   */
  ask<T extends Answer>(
    request: (number: number) => SessionMessage | readonly SessionMessage[],
    answered: (answer: T) => boolean | undefined = () => false,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#over) {
        reject(new ConnectionFailed("the connection was lost"));
        return;
      }
      const number = this.#answers.expect({
        answered: (answer) => {
          const more = answered(answer as T) === true;
          if (!more) {
            resolve(answer as T);
          }
          return more;
        },
        refused: reject,
        lost: reject,
      });
      try {
        this.#write([request(number)].flat() as SessionMessage[]);
      } catch (error) {
        this.#answers.forget(number);
        reject(error);
      }
    });
  }

  #write(messages: readonly SessionMessage[]): void {
    const frames = messages.map((message) => writeSession(message));
    const size = Math.max(...frames.map(bytesOf));
    const most = Math.min(this.frameBytes, MAX_BODY_BYTES);
    if (size > most) {
      throw new RequestRefused(Code.MESSAGE_TOO_BIG, `a request has ${size} bytes: ${most} fit`);
    }
    for (const frame of frames) {
      this.send(frame);
    }
  }

  /** Ping at once, since the network or the page may have changed. */
  look(): void {
    this.#heartbeat.look();
  }

  /** Send what was collected, then a close frame. */
  close(code: number, reason: string): void {
    this.flush();
    this.#wire.close(code, reason);
  }

  /** End the connection at once. */
  abort(code: number, reason: string): void {
    this.#wire.abort(code, reason);
  }

  #opened(): void {
    this.#helloNs = this.clock.localNs();
    this.tell(this.#hello);
    this.flush();
  }

  #closed({ code, reason, retry_after_s, resumable }: WireClosed): void {
    this.#over = true;
    this.#heartbeat.stop();
    const said = this.#lastError?.code === code ? this.#lastError : undefined;
    const retryAfterS = said?.retry_after_s ?? retry_after_s ?? this.#farewell?.reconnect_after_s;
    this.#answers.fail(said?.message ?? reason);
    const address = this.#farewell?.address;
    this.#events.lost({ code, reason: said?.message ?? reason, retryAfterS, address, resumable });
  }

  #received(items: readonly Inbound[]): void {
    this.#heartbeat.heard();
    for (const item of items) {
      if (this.#over) {
        return;
      }
      this.#handle(item);
    }
  }

  #handle(item: Inbound): void {
    if (isAnswer(item)) {
      this.#answers.received(item);
      return;
    }
    switch (item.opcode) {
      case Opcode.WELCOME:
        this.#welcomed(item);
        break;
      case Opcode.PING:
        this.#heartbeat.pingReceived(item, this.clock.localNs());
        break;
      case Opcode.PONG:
        this.#heartbeat.pongReceived(item, this.clock.localNs());
        break;
      case Opcode.GO_AWAY:
        this.#draining = true;
        this.#farewell = item;
        this.#events.received(item);
        break;
      case Opcode.ERROR:
        this.#refused(item);
        break;
      default:
        if (this.#welcome) {
          this.#events.received(item);
        }
    }
  }

  #refused(error: Refusal): void {
    if (error.code < 5000) {
      this.#lastError = error; // the close frame follows, and has room for less
    } else if (!this.#answers.refused(error)) {
      this.#events.refused(error);
    }
  }

  #welcomed(welcome: Welcome): void {
    if (this.#welcome) {
      this.close(Code.UNEXPECTED_MESSAGE, "a second WELCOME");
      return;
    }
    const { time_ns: timeNs } = welcome;
    // HELLO and WELCOME are a first, rough exchange of clocks, which better pings soon replace.
    this.clock.receive({ opcode: Opcode.PONG, t0: this.#helloNs, t1: timeNs, t2: timeNs }, this.clock.localNs());
    this.#welcome = welcome;
    this.#events.welcomed(this);
    this.#heartbeat.start(welcome.heartbeat_interval_s);
  }
}
