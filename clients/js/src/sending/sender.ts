/** Sender: takes turns between the queues of a client, so that no small message waits behind a large one of another queue. */

import { Code, RequestRefused } from "../errors.ts";
import type { Reports } from "../report.ts";
import type { Clock, Timer } from "../session/clock.ts";
import type { Connection } from "../session/connection.ts";
import type { Session } from "../session/session.ts";
import type { OutboundMessage } from "./outbound_message.ts";
import type { SendQueue } from "./send_queue.ts";

/** Large messages under way at once. */
const MAX_LARGE = 32;
/** Steps between two turns of the event loop. */
const STEPS_A_TURN = 64;

export class Sender {
  readonly clock: Clock;
  readonly #connection: Connection;
  readonly #reports: Reports;
  readonly #active = new Set<SendQueue>();
  readonly #large = new Set<OutboundMessage>();
  readonly #transfers = new Map<number, SendQueue>();
  #nextTransfer = 1;
  #turn: Timer | undefined;
  #pumping = false;
  readonly #whenIdle: (() => void)[] = [];

  constructor(connection: Connection, clock: Clock, reports: Reports) {
    this.#connection = connection;
    this.clock = clock;
    this.#reports = reports;
  }

  /** Session that messages under way go on; also one that has been told to go away. */
  get session(): Session | undefined {
    return this.#connection.session;
  }

  /** Report an error that no call can throw. */
  report(error: unknown): void {
    this.#reports.report(error);
  }

  /** Have a queue go on, if it can. */
  wake(queue: SendQueue): void {
    this.#active.add(queue);
    this.pump();
  }

  /** Send what can be sent now, a frame of each queue in turn. */
  pump(): void {
    if (this.#pumping || this.#turn) {
      return;
    }
    this.#pumping = true;
    try {
      this.#rounds();
    } finally {
      this.#pumping = false;
    }
    if (![...this.#active].some((queue) => !queue.idle)) {
      for (const resolve of this.#whenIdle.splice(0)) {
        resolve();
      }
    }
  }

  #rounds(): void {
    let blocked = 0;
    for (let steps = 0; ; steps++) {
      const session = this.#connection.session;
      const [queue] = this.#active;
      if (!queue || !session?.open || blocked >= this.#active.size || session.congested()) {
        return;
      }
      if (steps >= STEPS_A_TURN) {
        this.#turn = this.clock.after(0, () => {
          this.#turn = undefined;
          this.pump();
        });
        return;
      }
      this.#active.delete(queue);
      if (queue.idle) {
        continue;
      }
      this.#active.add(queue); // at the end
      blocked = queue.step(session) ? 0 : blocked + 1;
    }
  }

  /** Resolve once nothing waits to be sent. */
  async drained(): Promise<void> {
    while ([...this.#active].some((queue) => !queue.idle)) {
      await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
    }
  }

  /** Messages that wait to be sent. */
  get unsent(): number {
    return [...this.#active].reduce((sum, queue) => sum + queue.unsent, 0);
  }

  /** Memory of what waits to be sent. */
  get heldBytes(): number {
    let bytes = 0;
    for (const queue of this.#active) {
      bytes += queue.heldBytes;
    }
    return bytes;
  }

  /** Release those that wait for the queues to become idle: the client is closed. */
  release(): void {
    this.#turn?.cancel();
    for (const resolve of this.#whenIdle.splice(0)) {
      resolve();
    }
  }

  /**
   * Check a message against the limits of the connection.
   *
   * @throws RequestRefused `MESSAGE_TOO_BIG`.
   */
  checkSize({ payloadBytes }: OutboundMessage, session: Session): void {
    const most = session.welcome.limits.max_message_bytes;
    if (payloadBytes > most) {
      const problem = `payload of ${payloadBytes} bytes exceeds max_message_bytes=${most} of the gateway`;
      throw new RequestRefused(Code.MESSAGE_TOO_BIG, `${problem}: split the tensor`);
    }
  }

  /** Take room for a large message; returns false if it has to wait. */
  takeRoom(message: OutboundMessage): boolean {
    const most = this.#connection.session?.welcome.limits.max_unfinished_bytes ?? Number.POSITIVE_INFINITY;
    const used = [...this.#large].reduce((sum, { payloadBytes }) => sum + payloadBytes, 0);
    const fits = !this.#large.size || (this.#large.size < MAX_LARGE && used + message.payloadBytes <= most);
    if (fits) {
      this.#large.add(message);
    }
    return fits;
  }

  /** Leave the room of a large message; others may go on then, unless it had just been taken. */
  leaveRoom(message: OutboundMessage, wakes = true): void {
    if (this.#large.delete(message) && wakes) {
      queueMicrotask(() => this.pump());
    }
  }

  /** Return the number of a new transfer of a queue. */
  nextTransfer(queue: SendQueue): number {
    const transfer = this.#nextTransfer;
    this.#nextTransfer = (this.#nextTransfer % 0xffff_ffff) + 1;
    this.#transfers.set(transfer, queue);
    return transfer;
  }

  endTransfer(transfer: number): void {
    this.#transfers.delete(transfer);
  }

  /** Handle RESUME. */
  resumed(transfer: number, index: number): void {
    this.#transfers.get(transfer)?.resumed(transfer, index);
  }
}
