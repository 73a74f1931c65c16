/** Heartbeat: pings that detect a silent gateway and measure its clock, and answers to its pings (spec section 9). */

import type { Ping, Pong, Signal } from "../protocol/signals.ts";
import { Opcode } from "../protocol/wire.ts";
import type { Clock, Timer } from "./clock.ts";
import type { GatewayClock } from "./gateway_clock.ts";

/** Pings in sequence after WELCOME: the shortest of a few round trips gives the best estimate of the clock. */
const FIRST_PINGS = 4;
/** Shortest interval, even if the gateway asks for a shorter one. */
const MIN_INTERVAL_MS = 100;
/** Half intervals without a sign of life after which the connection is given up: two and a half intervals. */
const SILENT_BEATS = 5;
/** Time in which the event loop hands on what has come, before the connection is given up. */
const LAST_LOOK_MS = 100;
/** Time by which a timer may be late before it counts as held up or throttled, as those of a page in the background. */
const LATE_MS = 1000;

/** Shortest time in which an answer has to come once the page is back; with long intervals it is half of one. */
const LEAST_LOOK_MS = 5000;

/** Callbacks of a heartbeat. */
export interface HeartbeatEvents {
  send(signal: Signal): void;
  /** Send the reports that go with each PING of this side. */
  beating(): void;
  /** Send the report for which a PING of the gateway asks, before the answer to it. */
  probed(): void;
  /** Give the connection up after so many seconds of silence. */
  silent(silentS: number): void;
}

export class Heartbeat {
  readonly #clock: Clock;
  readonly #gatewayClock: GatewayClock;
  readonly #events: HeartbeatEvents;
  #timer: Timer | undefined;
  #look: Timer | undefined;
  #halfMs = 0;
  #beats = 0;
  #silent = 0;
  #firstPings = FIRST_PINGS;
  #heard = false;
  #heardSinceLook = false;

  constructor(clock: Clock, gatewayClock: GatewayClock, events: HeartbeatEvents) {
    this.#clock = clock;
    this.#gatewayClock = gatewayClock;
    this.#events = events;
  }

  /** Begin to ping, every interval that WELCOME names. */
  start(intervalS: number): void {
    this.#halfMs = Math.max(intervalS * 1000, MIN_INTERVAL_MS) / 2;
    this.#ping();
    this.#schedule();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#look?.cancel();
    this.#timer = undefined;
  }

  /** Take note that something has arrived. */
  heard(): void {
    this.#heard = this.#heardSinceLook = true;
  }

  /**
   * Ping at once, and give the connection up if nothing comes soon: the page is visible again, the network is back, or the
   * machine has slept, and what was alive before may be gone.
   */
  look(): void {
    if (this.#timer) {
      this.#ping();
      this.#heardSinceLook = false;
      this.#look?.cancel();
      const limitMs = Math.max(LEAST_LOOK_MS, this.#halfMs);
      const dueMs = this.#clock.nowMs() + limitMs;
      this.#look = this.#clock.after(limitMs, () => this.#looked(limitMs, this.#clock.nowMs() - dueMs));
    }
  }

  /** Answer a PING of the gateway. */
  pingReceived(ping: Ping, arrivedNs: bigint): void {
    if (ping.report) {
      this.#events.probed();
    }
    this.#events.send({ opcode: Opcode.PONG, t0: ping.t0, t1: arrivedNs, t2: this.#gatewayClock.localNs() });
  }

  /** Learn from a PONG; after each of the first ones send the next ping. */
  pongReceived(pong: Pong, arrivedNs: bigint): void {
    this.#gatewayClock.receive(pong, arrivedNs);
    if (this.#firstPings > 0) {
      this.#ping();
    }
  }

  #ping(): void {
    this.#firstPings--;
    this.#events.send({ opcode: Opcode.PING, t0: this.#gatewayClock.localNs(), report: false });
  }

  #schedule(): void {
    const dueMs = this.#clock.nowMs() + this.#halfMs;
    this.#timer = this.#clock.after(this.#halfMs, () => this.#beat(this.#clock.nowMs() - dueMs));
  }

  #looked(limitMs: number, lateMs: number): void {
    if (lateMs > LATE_MS) {
      this.look(); // the page was away again
    } else if (!this.#heardSinceLook) {
      this.#look = this.#clock.after(LAST_LOOK_MS, () => this.#heardSinceLook || this.#events.silent(limitMs / 1000));
    }
  }

  #beat(lateMs: number): void {
    if (lateMs > 2 * this.#halfMs) {
      this.look();
    }
    const heard = this.#heard || lateMs > LATE_MS;
    this.#heard = false;
    this.#silent = heard ? 0 : this.#silent + 1;
    if (this.#silent >= SILENT_BEATS) {
      this.#timer = this.#clock.after(LAST_LOOK_MS, () => this.#lastBeat());
      return;
    }
    this.#goOn();
  }

  #lastBeat(): void {
    if (this.#heard) {
      this.#silent = 0;
      this.#goOn();
    } else {
      this.#events.silent((this.#silent * this.#halfMs) / 1000);
    }
  }

  #goOn(): void {
    this.#beats++;
    if (this.#beats % 2 === 0) {
      this.#events.beating();
      this.#ping();
    }
    this.#schedule();
  }
}
