/** Contents of requests and replies: headers and tensors. */

import { UsageError } from "../errors.ts";
import type { JsonObject } from "../protocol/exact_json.ts";
import { type Tensor, viewTensors } from "../protocol/tensors.ts";
import type { Arrival } from "../session/wire.ts";

export abstract class Contents {
  readonly headers: JsonObject | null;
  /** Number of the connection that sent it. */
  readonly publisher: number;
  /** Unix time of sending in ns, by the gateway's clock. */
  readonly timestampNs: bigint;
  /** Tensors in the order of the message. */
  readonly tensors: readonly Tensor[];

  constructor({ headers, publisher, timestamp_ns, specs, payload }: Arrival) {
    this.headers = headers;
    this.publisher = publisher;
    this.timestampNs = timestamp_ns;
    this.tensors = viewTensors(specs, payload);
  }

  /**
   * The only tensor.
   *
   * @throws UsageError there is none, or several.
   */
  get tensor(): Tensor {
    if (this.tensors.length !== 1) {
      throw new UsageError(`there are ${this.tensors.length} tensors, not one: read tensors`);
    }
    return this.tensors[0];
  }

  /** Return the tensor of a name; undefined: there is none. */
  named(name: string): Tensor | undefined {
    return this.tensors.find((tensor) => tensor.name === name);
  }
}

/** Reply to a request, or a part of one. */
export class Reply extends Contents {}
