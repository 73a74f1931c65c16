/** Send queue of one stream: its publishes, numbered by the producer over all connections (`spec/client.md`, section 4). */

import { Code, ConnectionFailed, RequestRefused } from "../errors.ts";
import type { TensorSpec } from "../protocol/meta.ts";
import type { Sizes } from "../protocol/regions.ts";
import { writeSession } from "../protocol/session_body.ts";
import type { Ack } from "../protocol/signals.ts";
import { Opcode } from "../protocol/wire.ts";
import type { Session } from "../session/session.ts";
import type { Alias, Aliases, AliasOwner } from "./aliases.ts";
import { type Declaration, holds, isWithin, merged } from "./declaration.ts";
import type { OutboundMessage } from "./outbound_message.ts";
import { type Placed, SendQueue } from "./send_queue.ts";
import type { Sender } from "./sender.ts";

/** Payload bytes to an event stream whose acknowledgement is awaited, past which another publish waits its turn. */
const WINDOW_BYTES = 16 * 1024 * 1024;
/** Time for which the gateway remembers a producer without a connection. */
const PRODUCER_KEPT_MS = 600_000;

export class StreamSendQueue extends SendQueue implements AliasOwner {
  readonly name: string;
  readonly #aliases: Aliases;
  readonly #producer: number;
  #nextSequence: bigint;
  #alias: Alias | undefined;
  /** Alias whose stream has ended, until all messages that were sent under it are answered. */
  #endedAlias: Alias | undefined;
  #declared: Declaration = {};
  #newestSpecs: readonly TensorSpec[] | undefined;

  constructor(sender: Sender, aliases: Aliases, name: string, producer: number, firstSequence: bigint) {
    super(sender);
    this.name = name;
    this.#aliases = aliases;
    this.#producer = producer;
    this.#nextSequence = firstSequence;
  }

  /** Sequence of the next message, above all that were used. */
  get nextSequence(): bigint {
    return this.#nextSequence;
  }

  /** Whether nothing is under way and no alias is open, so that the queue may be forgotten. */
  get forgettable(): boolean {
    return this.idle && !this.#aliases.has(this.#alias) && !this.#endedAlias?.isAwaiting;
  }

  override submit(message: OutboundMessage): void {
    if (!message.fields.extensions?.region) {
      this.#newestSpecs = message.fields.content.specs;
    }
    super.submit(message);
  }

  /**
   * Check a message against the stream, as far as it is known on the present connection.
   *
   * @throws RequestRefused `KIND_MISMATCH` or `DURABILITY_MISMATCH` or `SCHEMA_MISMATCH`.
   */
  check(declaration: Declaration): void {
    const info = this.#aliases.has(this.#alias) ? this.#alias.info : undefined;
    if (info) {
      holds(declaration, info);
    }
  }

  /** Return the shape of a tensor of the state: that of the last complete one published here, or as declared. */
  shapeOf(tensor: string, declared: Declaration): Sizes | undefined {
    const published = this.#newestSpecs?.find(({ name }) => name === tensor)?.shape;
    const schemas = [declared.schema, this.#declared.schema, this.#alias?.info?.schema];
    return published ?? schemas.map((schema) => shapeIn(schema, tensor)).find((shape) => shape !== undefined);
  }

  protected override place(session: Session, message: OutboundMessage): Placed | undefined {
    if (session.draining && message.sequence === undefined) {
      return undefined;
    }
    if (this.#endedAlias && (this.#endedAlias.session !== session || !this.#endedAlias.isAwaiting)) {
      this.#endedAlias = undefined;
    }
    const alias = this.#endedAlias || this.#isPastKept(message) ? undefined : this.#open(session, message);
    if (!alias) {
      return undefined;
    }
    const sequence = message.sequence ?? this.#nextSequence;
    if (message.sequence === undefined) {
      this.#nextSequence += BigInt(message.count);
      message.sequence = sequence;
    }
    if (message.fields.sending) {
      alias.alias.expect(sequence, message);
    }
    this.#aliases.used(alias.alias);
    return { stream: alias.alias.number, offset: sequence, before: alias.before };
  }

  /** Fail a message that the gateway may have, if it was without a connection for longer than the gateway remembers. */
  #isPastKept({ lostMs, fields }: OutboundMessage): boolean {
    if (lostMs !== undefined && this.sender.clock.nowMs() - lostMs > PRODUCER_KEPT_MS) {
      const problem = `the connection was lost before a publish to ${this.name} was acknowledged, and came back too late`;
      throw new ConnectionFailed(`${problem}: the gateway may have the message or not`);
    }
    return fields.sending !== undefined && this.#outruns(fields.content.payload.byteLength);
  }

  /** Return whether a publish is to wait for the acknowledgements of those before it. */
  #outruns(bytes: number): boolean {
    const alias = this.#alias;
    if (!this.#aliases.has(alias) || !alias.isAwaiting || alias.awaitingBytes + bytes <= WINDOW_BYTES) {
      return false;
    }
    const kind = alias.info?.kind ?? alias.declared.kind;
    return kind === undefined || kind === "event";
  }

  #open(session: Session, message: OutboundMessage): { alias: Alias; before: Uint8Array[] } | undefined {
    const { declaration } = message.fields;
    const alias = this.#alias;
    if (this.#aliases.has(alias)) {
      if (isWithin(declaration, alias.declared)) {
        return { alias, before: [] };
      }
      if (!alias.info) {
        return undefined; // a refusal of what another message has declared is not to be that of this one
      }
      if (holds(declaration, alias.info)) {
        return { alias, before: [] };
      }
    }
    const declared = merged(declaration, this.#declared);
    const taken = this.#aliases.take(session, this, declared);
    if (!taken) {
      return undefined;
    }
    this.#alias = taken;
    this.#declared = declared;
    const before = writeSession({
      opcode: Opcode.OPEN,
      alias: taken.number,
      stream: this.name,
      ...declared,
      producer: this.#producer,
      sequence: message.sequence ?? this.#nextSequence,
    });
    return { alias: taken, before };
  }

  protected override written(): void {
    // ACK or ERROR answers, if anybody waits for it.
  }

  protected override unplaced(message: OutboundMessage): void {
    if (message.sequence !== undefined && this.#alias) {
      this.#alias.take(message.sequence, 1);
    }
    super.unplaced(message);
  }

  opened(): void {
    this.sender.wake(this);
  }

  refused(alias: Alias): void {
    if (this.#alias === alias) {
      this.#alias = undefined;
      this.#declared = {};
    }
    this.sender.wake(this); // each message behind OPEN gets the same error, with its sequence
  }

  ended(alias: Alias): void {
    if (this.#alias === alias) {
      this.#alias = undefined;
      this.#endedAlias = alias;
    }
    this.sender.wake(this);
  }

  released(alias: Alias): void {
    if (this.#alias === alias) {
      this.#alias = undefined;
    }
  }

  /** Handle ACK for messages of an alias. */
  acknowledged(alias: Alias, ack: Ack): void {
    for (const [sequence, message] of alias.take(ack.sequence, ack.count)) {
      this.forgetLarge(message);
      if (!message.ended) {
        this.waiting.remove(message); // the gateway has had all of it
      }
      this.taken(message);
      message.fields.sending?.taken({ ...ack, sequence, offset: ack.offset - (ack.sequence - sequence) });
    }
    this.sender.wake(this);
  }

  /** Handle ERROR for messages of an alias. */
  refusedMessages(alias: Alias, sequence: bigint, count: number, error: RequestRefused): void {
    if (error.code === Code.STREAM_ENDED) {
      this.ended(alias);
    }
    const refused = alias.take(sequence, count).map(([, message]) => message);
    const large = this.unawaitedLarge;
    if (large?.sequence === sequence && this.#alias === alias) {
      refused.push(large);
    }
    for (const message of refused) {
      this.#refusedMessage(message, error);
    }
    if (!refused.length) {
      const lost = count === 1 ? "1 message is lost" : `${count} messages are lost`;
      this.sender.report(new RequestRefused(error.code, `publishNowait to ${this.name}: ${lost}: ${error.problem}`));
    }
  }

  #refusedMessage(message: OutboundMessage, error: RequestRefused): void {
    const hasEnded = error.code === Code.STREAM_ENDED;
    const isPatch = message.fields.extensions?.region !== undefined;
    const again = hasEnded ? !isPatch : error.action === "reconnect" || error.action === "reconnect_later";
    if (!message.abandoned && again && this.maySendAgain(message)) {
      this.postpone(message, error);
      return;
    }
    this.forgetLarge(message);
    this.drop(message);
    // The next stream of the name has no state to patch.
    message.fields.sending?.failed(
      hasEnded && isPatch ? new RequestRefused(Code.INVALID_REGION, error.problem) : error,
    );
  }

  /** End a connection: publishes that it may have carried are sent again as the same messages. */
  lost(): void {
    const unanswered = this.#alias?.awaiting ?? [];
    const ended = this.#endedAlias?.awaiting ?? [];
    this.#alias = this.#endedAlias = undefined;
    this.detached([...ended, ...unanswered]);
  }

  override fail(error: Error): void {
    const unanswered = [this.#alias, this.#endedAlias].flatMap((alias) => alias?.awaiting ?? []);
    super.fail(error);
    for (const message of unanswered) {
      message.fields.sending?.failed(error);
    }
  }
}

function shapeIn(schema: Declaration["schema"], tensor: string): Sizes | undefined {
  const tensors = schema?.tensors as Readonly<Record<string, { readonly shape?: Sizes }>> | undefined;
  const found = tensors ? tensors[tensor]?.shape : tensor === "" ? (schema?.shape as Sizes | undefined) : undefined;
  return Array.isArray(found) ? found : undefined;
}
