/** Message as it arrived, shared by the subscriptions that get it: its tensors are made once, when first asked for. */

import { itemBytesOf } from "../protocol/dtypes.ts";
import type { Kind } from "../protocol/messages.ts";
import { elementsOf } from "../protocol/meta.ts";
import type { dequantize } from "../protocol/quantization.ts";
import { Tensor, viewTensors } from "../protocol/tensors.ts";
import type { Arrival } from "../session/wire.ts";

/** Stream by which a message came. */
export interface Source {
  readonly name: string;
  readonly epoch: number;
  readonly kind: Kind;
  readonly observed: boolean;
}

export class Received {
  readonly source: Source;
  readonly arrival: Arrival;
  /** Seconds from the publish to the arrival. */
  readonly latencyS: number;
  /** Function that restores the numbers of quantized tensors; there if any subscription has a view. */
  readonly dequantize: typeof dequantize | undefined;
  #tensors: readonly Tensor[] | undefined;

  constructor(source: Source, arrival: Arrival, arrivedNs: bigint, restore?: typeof dequantize) {
    this.dequantize = restore;
    this.source = source;
    this.arrival = arrival;
    this.latencyS = Math.max(0, Number(arrivedNs - arrival.timestamp_ns) / 1e9);
  }

  /** Number of messages: that of the records of a batch. */
  get count(): number {
    return this.arrival.count ?? 1;
  }

  /** Tensors: of a record batch one of all records. */
  get tensors(): readonly Tensor[] {
    this.#tensors ??= viewTensors(this.arrival.specs, this.arrival.payload, this.arrival.count);
    return this.#tensors;
  }

  /** Return the tensors of one record; of a message that is no batch all its tensors. */
  tensorsOf(record: number): readonly Tensor[] {
    if (this.arrival.count === undefined) {
      return this.tensors;
    }
    const [spec] = this.arrival.specs;
    const size = elementsOf(spec.shape) * itemBytesOf(spec.dtype);
    return [new Tensor(spec, this.arrival.payload.subarray(record * size, (record + 1) * size))];
  }
}
