/** Messages as the program gets them, one by one or as record batches. */

import { Code, InvalidArgument, UsageError } from "../errors.ts";
import type { JsonObject } from "../protocol/exact_json.ts";
import type { Extent, Quantization } from "../protocol/extensions.ts";
import type { Kind } from "../protocol/messages.ts";
import { Tensor } from "../protocol/tensors.ts";
import type { Received } from "./received.ts";

/** Answer that a message owes the gateway. */
export interface AnswerHandle {
  /** Subscription that the answer needs: it stays open as long as the program has the message. */
  readonly subscription?: object | undefined;
  /** Answer with 0 for processed, or with a code: the message is to be delivered again. The first answer counts. */
  answer(code: number): void;
  inProgress(): void;
}

/** Part of messages and record batches that both have. */
abstract class Delivered {
  readonly stream: string;
  /** Incarnation of the stream. */
  readonly epoch: number;
  /** Offset of the message, or of the first record. */
  readonly offset: bigint;
  readonly kind: Kind;
  /** Number of the connection that published it. */
  readonly publisher: number;
  /** Unix time of the publish in ns, by the gateway's clock; of a batch that of its first record. */
  readonly timestampNs: bigint;
  /** Seconds from the publish to the arrival. */
  readonly latencyS: number;
  /** Whether the subscription observes the stream, and owes no answer. */
  readonly observed: boolean;
  /** Relation of the numbers of a quantized view to those of the stream. */
  readonly quantization: Quantization | undefined;
  readonly #handle: AnswerHandle | undefined;
  readonly #dequantize: Received["dequantize"];

  constructor(received: Received, record: number, handle: AnswerHandle | undefined) {
    const { source, arrival } = received;
    this.stream = source.name;
    this.epoch = source.epoch;
    this.offset = arrival.offset + BigInt(record);
    this.kind = source.kind;
    this.publisher = arrival.publisher;
    this.timestampNs = arrival.timestamp_ns;
    this.latencyS = received.latencyS;
    this.observed = source.observed;
    this.quantization = arrival.extensions?.quantized;
    this.#handle = handle;
    this.#dequantize = received.dequantize;
  }

  /** Return the numbers of a tensor in the dtype of the stream. */
  protected restored(tensor: Tensor): Tensor {
    return this.quantization && this.#dequantize ? this.#dequantize(tensor, this.quantization) : tensor;
  }

  /**
   * Report that the program has processed it.
   *
   * @throws UsageError it is observed. Messages of kinds that are not acknowledged take no notice.
   */
  ack(): void {
    this.#answerable()?.answer(0);
  }

  /**
   * Report that the program has not processed it, and wants it again.
   *
   * @throws UsageError as {@link Delivered.ack}.
   */
  nack(code: number = Code.NOT_PROCESSED): void {
    if (!Number.isInteger(code) || code < 1 || code > 0xffff_ffff) {
      throw new InvalidArgument(`nack: code ${code} is no integer from 1 to 4294967295`);
    }
    this.#answerable()?.answer(code);
  }

  /**
   * Report that the program is still working on it.
   *
   * @throws UsageError as {@link Delivered.ack}.
   */
  inProgress(): void {
    this.#answerable()?.inProgress();
  }

  #answerable(): AnswerHandle | undefined {
    if (this.observed) {
      throw new UsageError(
        `messages of ${this.stream} are observed: connect with a clientId, or subscribe with observe: false`,
      );
    }
    return this.#handle;
  }
}

/** Message of a stream. */
export class Message extends Delivered {
  readonly headers: JsonObject | null;
  readonly #received: Received;
  readonly #record: number;
  readonly #changed: boolean;
  #tensors: readonly Tensor[] | undefined;

  /**
   * Make a message.
   *
   * @internal
   * @param record index of the record in its batch.
   * @param changed whether the program has the version before, to which the patch belongs.
   */
  constructor(received: Received, record: number, handle: AnswerHandle | undefined, changed: boolean) {
    super(received, record, handle);
    this.headers = received.arrival.headers;
    this.#received = received;
    this.#record = record;
    this.#changed = changed;
  }

  /** Tensors in the order of the message. */
  get tensors(): readonly Tensor[] {
    this.#tensors ??= this.#received.tensorsOf(this.#record);
    return this.#tensors;
  }

  /**
   * The only tensor.
   *
   * @throws UsageError there is none, or several.
   */
  get tensor(): Tensor {
    if (this.tensors.length !== 1) {
      const names = this.tensors.map(({ name }) => name).join(", ");
      throw new UsageError(`a message of ${this.stream} has ${this.tensors.length} tensors (${names}): read tensors`);
    }
    return this.tensors[0];
  }

  /** Return the tensor of a name; undefined: there is none. */
  named(name: string): Tensor | undefined {
    return this.tensors.find((tensor) => tensor.name === name);
  }

  /**
   * Return the numbers of a quantized tensor in the dtype of the stream; of another message the tensor itself.
   *
   * @throws UsageError there is not one tensor.
   * @throws RequestRefused `INVALID_TENSOR`, dtypes between which there is no such relation.
   */
  dequantized(): Tensor {
    return this.restored(this.tensor);
  }

  /** Indices that this version has changed, an extent for each dimension; undefined of one that came complete. */
  get region(): readonly Extent[] | undefined {
    return this.#changed ? this.#received.arrival.patch?.extents : undefined;
  }

  /** Value that was published for the region; undefined of a version that came complete. */
  get patch(): Tensor | undefined {
    const patch = this.#changed ? this.#received.arrival.patch : undefined;
    return patch && new Tensor(patch.spec, patch.payload);
  }

  /** Name of the tensor that was changed; undefined of a version that came complete. */
  get patched(): string | undefined {
    return this.#changed ? this.#received.arrival.patch?.spec.name : undefined;
  }
}

/** Record batch: consecutive messages as one tensor of shape `[count, ...shape]`; a message by itself is a batch of one. */
export class RecordBatch extends Delivered {
  /** Number of records. */
  readonly count: number;
  readonly tensor: Tensor;

  /**
   * Make a batch.
   *
   * @internal
   * @param first index of the first record that the subscription has not had.
   */
  constructor(received: Received, first: number, handle: AnswerHandle | undefined) {
    super(received, first, handle);
    const { arrival, count } = received;
    this.count = count - first;
    const [spec] = arrival.specs;
    const shape = [this.count, ...spec.shape];
    const start = (arrival.payload.byteLength / count) * first;
    this.tensor = new Tensor({ ...spec, shape }, arrival.payload.subarray(start));
  }

  /** Return the numbers of a quantized batch in the dtype of the stream; errors as {@link Message.dequantized}. */
  dequantized(): Tensor {
    return this.restored(this.tensor);
  }
}
