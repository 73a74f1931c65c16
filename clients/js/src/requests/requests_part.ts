/** Part of a client for requests: those that it sends, and its inboxes. */

import type { ConnectionFailed } from "../errors.ts";
import type { Part } from "../lazy_part.ts";
import type { Refusal } from "../protocol/messages.ts";
import { Opcode } from "../protocol/wire.ts";
import type { Reports } from "../report.ts";
import type { SendingPart } from "../sending/sending_part.ts";
import type { Clock } from "../session/clock.ts";
import type { Connection } from "../session/connection.ts";
import type { Session } from "../session/session.ts";
import type { Failure, Inbound } from "../session/wire.ts";
import { Requester } from "./requester.ts";
import { Responder } from "./responder.ts";

export class RequestsPart implements Part {
  readonly requester: Requester;
  readonly responder: Responder;

  constructor(
    connection: Connection,
    clock: Clock,
    reports: Reports,
    { sender, aliases }: SendingPart,
    timeoutMs: number,
  ) {
    this.requester = new Requester(connection, clock, sender, aliases, timeoutMs);
    this.responder = new Responder(connection, clock, sender, reports);
  }

  attached(session: Session): void {
    this.responder.attached(session);
    this.requester.attached();
  }

  detached(): void {
    this.responder.detached();
    this.requester.detached();
  }

  received(item: Inbound): boolean {
    switch (item.opcode) {
      case Opcode.REQUEST:
        this.responder.requested(item);
        return true;
      case Opcode.REPLY:
        this.requester.replied(item);
        return true;
      case Opcode.CANCEL:
        this.responder.cancelled(item);
        return true;
      case "progress":
        this.requester.progressed(item.correlation);
        return true;
      case "head":
        if (item.of === Opcode.REPLY) {
          this.requester.progressed(item.correlation);
        }
        return item.of === Opcode.REPLY || item.of === Opcode.REQUEST;
      case "failure":
        return this.#failed(item);
      default:
        return false;
    }
  }

  #failed(failure: Failure): boolean {
    if (failure.of === Opcode.REQUEST) {
      this.responder.failed(failure);
    } else if (failure.of === Opcode.REPLY) {
      this.requester.failed(failure);
    }
    return failure.of === Opcode.REQUEST || failure.of === Opcode.REPLY;
  }

  refused(error: Refusal): boolean {
    return this.requester.refused(error) || this.responder.refused(error);
  }

  close(error: ConnectionFailed, byProgram: boolean): void {
    this.requester.close(error);
    this.responder.close(byProgram ? undefined : error);
  }
}
