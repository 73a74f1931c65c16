/** Part of a client that sends messages: publishes, and by its queues also requests and replies. */

import type { ConnectionFailed } from "../errors.ts";
import type { Part } from "../lazy_part.ts";
import type { Refusal } from "../protocol/messages.ts";
import { Opcode } from "../protocol/wire.ts";
import type { Reports } from "../report.ts";
import type { Clock } from "../session/clock.ts";
import type { Connection } from "../session/connection.ts";
import type { Session } from "../session/session.ts";
import type { Inbound } from "../session/wire.ts";
import { Aliases } from "./aliases.ts";
import { Publisher, type PublisherSettings } from "./publisher.ts";
import { Sender } from "./sender.ts";

export class SendingPart implements Part {
  readonly sender: Sender;
  readonly aliases = new Aliases();
  readonly publisher: Publisher;

  constructor(connection: Connection, clock: Clock, reports: Reports, settings: PublisherSettings) {
    this.sender = new Sender(connection, clock, reports);
    this.publisher = new Publisher(connection, clock, this.sender, this.aliases, settings);
  }

  /** Memory of what waits to be sent. */
  get waitingBytes(): number {
    return this.publisher.collectedBytes + this.sender.heldBytes;
  }

  attached(session: Session): void {
    this.publisher.attached(session);
  }

  detached(): void {
    this.publisher.detached();
  }

  received(item: Inbound): boolean {
    switch (item.opcode) {
      case Opcode.STREAM:
        return this.publisher.streamReceived(item);
      case Opcode.ACK:
        this.publisher.acknowledged(item);
        return true;
      case Opcode.RESUME:
        this.sender.resumed(item.transfer, item.index);
        return true;
      default:
        return false;
    }
  }

  refused(error: Refusal): boolean {
    return this.publisher.refused(error);
  }

  close(error: ConnectionFailed): void {
    this.publisher.close(error);
    this.sender.release();
  }
}
