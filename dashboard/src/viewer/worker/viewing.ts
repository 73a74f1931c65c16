/** Viewing of one stream: chooses how its messages are shown, by its kind and by the first of them, and keeps up a client. */

import { type Client, connect, type Message } from "@frys/client";
import type { FromWorker, StreamFacts, ToWorker } from "../posts.ts";
import type { Settings } from "../settings.ts";
import { MessageListing } from "./message_listing.ts";
import { SeriesViewing } from "./series_viewing.ts";
import { watchFacts } from "./stream_facts.ts";
import { Surface } from "./surface.ts";
import { TensorViewing } from "./tensor_viewing.ts";

/** Time to the next attempt when the first connection failed. */
const RETRY_MS = 1000;
/** Messages that a list begins with. */
const PAST = 50;

type Way = "tensors" | "series" | "messages";
type Showing = TensorViewing | SeriesViewing | MessageListing;

export class Viewing {
  readonly #post: (post: FromWorker) => void;
  readonly #surface = new Surface();
  readonly #ending = new AbortController();
  #stream = "";
  #settings: Settings | undefined;
  #client: Client | undefined;
  #facts: StreamFacts | undefined;
  #showing: Showing | undefined;
  #way: Way | undefined;
  /** Whether the messages of the stream have one element; undefined: none has come yet. */
  #isScalar: boolean | undefined;
  #probing: AbortController | undefined;

  constructor(post: (post: FromWorker) => void) {
    this.#post = post;
  }

  handle(post: ToWorker): void {
    switch (post.kind) {
      case "open":
        void this.#open(post.origin, post.stream, post.settings, post.token);
        break;
      case "canvas":
        this.#surface.canvas = post.canvas;
        break;
      case "layout":
        this.#surface.lay(post.layout, post.theme);
        if (this.#showing && "laid" in this.#showing) {
          this.#showing.laid();
        }
        break;
      case "settings":
        this.#settings = post.settings;
        this.#choose();
        if (this.#showing) {
          this.#showing.settings = post.settings;
        }
        break;
      case "span":
        if (this.#showing instanceof SeriesViewing) {
          this.#showing.span = post.span;
        }
        break;
      case "close":
        void this.#close();
        break;
      default:
        this.#handleOfTensors(post);
    }
  }

  #handleOfTensors(post: Extract<ToWorker, { readonly kind: "point" | "step" | "file" }>): void {
    if (!(this.#showing instanceof TensorViewing)) {
      return;
    }
    if (post.kind === "point") {
      this.#showing.point(post.element);
    } else if (post.kind === "step") {
      this.#showing.step(post.steps);
    } else {
      this.#showing.file(this.#stream);
    }
  }

  async #open(origin: string, stream: string, settings: Settings, token: string | null): Promise<void> {
    this.#stream = stream;
    this.#settings = settings;
    void watchFacts(origin, stream, token, this.#ending.signal, (facts) => this.#learn(facts));
    const url = `${origin.replace(/^http/, "ws")}/ws`;
    this.#post({ kind: "state", state: "connecting" });
    while (!this.#ending.signal.aborted && !this.#client) {
      try {
        this.#client = await connect(url, {
          clientType: "admin_panel",
          token,
          // This is a worker already, so that the socket needs none of its own.
          worker: false,
          onState: (state) => this.#post({ kind: "state", state }),
          onError: (error) => this.#post({ kind: "notice", text: error.message }),
          onNotice: () => undefined,
        });
      } catch (error) {
        this.#post({ kind: "notice", text: (error as Error).message });
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    this.#choose();
  }

  #learn(facts: StreamFacts | undefined): void {
    this.#post({ kind: "facts", facts });
    if (facts && facts.epoch !== this.#facts?.epoch) {
      this.#isScalar = undefined; // another stream of the name may have other messages
    }
    this.#facts = facts ?? this.#facts;
    this.#choose();
    if (facts && this.#showing instanceof TensorViewing) {
      this.#showing.facts = facts;
    }
  }

  /** Show the messages the way that is fit for them, unless that is so already. */
  #choose(): void {
    const [client, facts, settings] = [this.#client, this.#facts, this.#settings];
    if (!client || !facts || !settings) {
      return;
    }
    const way = this.#wayOf(facts, settings);
    if (!way) {
      void this.#probe(client, facts);
      return;
    }
    if (way === this.#way) {
      return;
    }
    this.#way = way;
    this.#showing?.stop();
    if (way === "tensors") {
      this.#showing = new TensorViewing(client, this.#stream, facts, settings, this.#surface, this.#post);
    } else if (way === "series") {
      this.#showing = new SeriesViewing(client, this.#stream, settings, this.#surface, this.#post);
    } else {
      const since = facts.kind === "event" ? Math.max(facts.first_offset, facts.next_offset - PAST) : undefined;
      this.#showing = new MessageListing(client, this.#stream, settings, since, this.#post);
    }
  }

  #wayOf(facts: StreamFacts, { mode }: Settings): Way | undefined {
    if (facts.kind === "collaboration" || facts.kind === "control" || mode === "messages") {
      return "messages";
    }
    if (facts.kind === "state") {
      const size = facts.newest?.[0]?.shape.reduce((product, length) => product * length, 1);
      return mode === "series" && size === 1 ? "series" : "tensors";
    }
    if (this.#isScalar === undefined) {
      return undefined;
    }
    return this.#isScalar && (!mode || mode === "series") ? "series" : "tensors";
  }

  /** Take one message, to know what the stream has. */
  async #probe(client: Client, facts: StreamFacts): Promise<void> {
    if (this.#probing) {
      return;
    }
    const probing = new AbortController();
    this.#probing = probing;
    const received = (message: Message): void => {
      if (!probing.signal.aborted) {
        this.#isScalar = message.tensors.length === 1 && message.tensors[0].size === 1;
        probing.abort();
        this.#probing = undefined;
        this.#choose();
      }
    };
    try {
      const since = Math.max(facts.first_offset, facts.next_offset - 1);
      await client.subscribe(this.#stream, {
        since,
        observe: true,
        signal: probing.signal,
        onMessage: received,
        onGap: () => undefined,
      });
    } catch (error) {
      if (!probing.signal.aborted) {
        this.#probing = undefined;
        this.#post({ kind: "notice", text: (error as Error).message });
      }
    }
  }

  async #close(): Promise<void> {
    this.#ending.abort();
    this.#probing?.abort();
    this.#showing?.stop();
    await this.#client?.close();
  }
}
