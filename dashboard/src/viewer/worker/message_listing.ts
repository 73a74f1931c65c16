/** List of the last messages of a stream: their headers and some elements. It observes, and answers for none. */

import type { Client, Message, Tensor } from "@frys/client";
import { exactText } from "../numbers/exact_text.ts";
import type { FromWorker, ListedMessage } from "../posts.ts";
import type { Settings } from "../settings.ts";
import { Paced } from "./surface.ts";
import { headersText } from "./version.ts";

const MAX_LISTED = 200;
const MAX_ELEMENTS = 12;
const PERIOD_MS = 200;

export class MessageListing {
  readonly #client: Client;
  readonly #stream: string;
  readonly #post: (post: FromWorker) => void;
  readonly #aborting = new AbortController();
  readonly #listed = new Paced(PERIOD_MS, () => this.#post({ kind: "listed", messages: this.#messages }));
  #settings: Settings;
  #messages: readonly ListedMessage[] = [];

  constructor(
    client: Client,
    stream: string,
    settings: Settings,
    since: number | undefined,
    post: (post: FromWorker) => void,
  ) {
    this.#client = client;
    this.#stream = stream;
    this.#settings = settings;
    this.#post = post;
    this.#listed.now();
    void this.#subscribe(since);
  }

  set settings(settings: Settings) {
    this.#settings = settings;
    this.#request();
  }

  #request(): void {
    if (this.#settings.offset === undefined) {
      this.#listed.request();
    }
  }

  stop(): void {
    this.#aborting.abort();
    this.#listed.cancel();
  }

  async #subscribe(since: number | undefined): Promise<void> {
    try {
      await this.#client.subscribe(this.#stream, {
        observe: true,
        ...(since === undefined ? {} : { since }),
        signal: this.#aborting.signal,
        onMessage: (message) => this.#received(message),
        onGap: () => undefined,
      });
    } catch (error) {
      if (!this.#aborting.signal.aborted) {
        this.#post({ kind: "notice", text: (error as Error).message });
      }
    }
  }

  #received(message: Message): void {
    this.#messages = [listed(message), ...this.#messages].slice(0, MAX_LISTED);
    this.#request();
  }
}

function listed(message: Message): ListedMessage {
  return {
    offset: Number(message.offset),
    timestampMs: Number(message.timestampNs / 1000n) / 1000,
    publisher: message.publisher,
    headers: headersText(message),
    tensors: message.tensors.map((tensor) => ({
      facts: { name: tensor.name, dtype: tensor.dtype, shape: tensor.shape },
      text: beginningOf(tensor),
    })),
  };
}

/** Return the first elements of a tensor as text. */
function beginningOf(tensor: Tensor): string {
  const texts: string[] = [];
  for (let index = 0; index < Math.min(tensor.size, MAX_ELEMENTS); index++) {
    let rest = index;
    const indices = tensor.strides.map((stride) => {
      const at = Math.floor(rest / stride);
      rest -= at * stride;
      return at;
    });
    texts.push(exactText(tensor.at(...indices), tensor.dtype));
  }
  return texts.join(", ") + (tensor.size > MAX_ELEMENTS ? ", …" : "");
}
