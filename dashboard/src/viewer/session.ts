/** Session of the viewer in the page: its worker, the settings, and the last word of the worker on each subject, as signals. */

import { type Signal, signal } from "@preact/signals";
import { token } from "../api/token.ts";
import { saveBlob } from "../parts/save_blob.ts";
import type {
  CanvasLayout,
  FromWorker,
  ListedMessage,
  Pointed,
  Reception,
  SeriesShown,
  Shown,
  StreamFacts,
  Theme,
  ToWorker,
} from "./posts.ts";
import { queryOf, type Settings, settingsOf } from "./settings.ts";

/** Time for which settings rest before they are written to the address. */
const REST_MS = 250;

export type Query = Readonly<Record<string, string>>;
export type SetQuery = (changes: Readonly<Record<string, string | undefined>>) => void;

export class Session {
  readonly stream: string;
  readonly settings: Signal<Settings>;
  readonly state = signal<"connecting" | "connected" | "reconnecting" | "closed">("connecting");
  /** Facts of the stream; undefined: not asked yet, null: there is none. */
  readonly facts = signal<StreamFacts | null | undefined>(undefined);
  readonly shown = signal<Shown | undefined>(undefined);
  readonly reception = signal<Reception | undefined>(undefined);
  readonly pointed = signal<Pointed | undefined>(undefined);
  readonly listed = signal<readonly ListedMessage[] | undefined>(undefined);
  readonly series = signal<SeriesShown | undefined>(undefined);
  /** Values of the curves under the pointer, with their place on the axis. */
  readonly hovered = signal<{ readonly place: number; readonly values: readonly (number | null)[] } | undefined>(
    undefined,
  );
  readonly notice = signal<string | undefined>(undefined);
  readonly #worker: Worker;
  readonly #setQuery: SetQuery;
  #written: string;
  #resting: ReturnType<typeof setTimeout> | undefined;

  constructor(worker: Worker, stream: string, query: Query, setQuery: SetQuery) {
    this.stream = stream;
    this.settings = signal(settingsOf(query));
    this.#worker = worker;
    this.#setQuery = setQuery;
    this.#written = JSON.stringify(queryOf(this.settings.value));
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#take(data);
    this.#send({ kind: "open", origin: location.origin, stream, settings: this.settings.value, token: token.value });
  }

  /** Take the settings of an address that the program has not written itself: someone went back. */
  read(query: Query): void {
    const settings = settingsOf(query);
    const written = JSON.stringify(queryOf(settings));
    if (written !== this.#written && !this.#resting) {
      this.#written = written;
      this.#apply(settings);
    }
  }

  change(changes: Partial<Settings>): void {
    this.#apply({ ...this.settings.value, ...changes });
    clearTimeout(this.#resting);
    this.#resting = setTimeout(() => {
      this.#resting = undefined;
      const query = queryOf(this.settings.value);
      this.#written = JSON.stringify(query);
      this.#setQuery(query);
    }, REST_MS);
  }

  #apply(settings: Settings): void {
    this.settings.value = settings;
    this.#send({ kind: "settings", settings });
  }

  give(canvas: OffscreenCanvas): void {
    this.#worker.postMessage({ kind: "canvas", canvas } satisfies ToWorker, [canvas]);
  }

  lay(layout: CanvasLayout, theme: Theme): void {
    this.#send({ kind: "layout", layout, theme });
  }

  point(element: readonly [number, number] | undefined): void {
    this.#send({ kind: "point", element });
  }

  span(span: readonly [number, number] | undefined): void {
    this.#send({ kind: "span", span });
  }

  step(steps: number): void {
    this.#send({ kind: "step", steps });
  }

  pause(): void {
    const offset = this.shown.value?.offset ?? this.series.value?.newest[0]?.offset ?? this.listed.value?.[0]?.offset;
    this.change({ offset: offset ?? 0 });
  }

  /** Save the message that is shown as a file. */
  save(): void {
    this.#send({ kind: "file" });
  }

  close(): void {
    clearTimeout(this.#resting);
    this.#send({ kind: "close" });
    // The worker takes its leave from the gateway; one that hangs ends with the page.
    setTimeout(() => this.#worker.terminate(), 1000);
  }

  #send(post: ToWorker): void {
    this.#worker.postMessage(post);
  }

  #take(post: FromWorker): void {
    switch (post.kind) {
      case "state":
        this.state.value = post.state;
        break;
      case "facts":
        this.facts.value = post.facts ?? null;
        break;
      case "shown":
        this.shown.value = post.shown;
        this.series.value = this.listed.value = undefined;
        break;
      case "paused":
        this.change({ offset: post.offset });
        break;
      case "reception":
        this.reception.value = post.reception;
        break;
      case "pointed":
        this.pointed.value = post.pointed;
        break;
      case "listed":
        this.listed.value = post.messages;
        this.shown.value = this.series.value = undefined;
        break;
      case "series":
        this.series.value = post.series;
        this.shown.value = this.listed.value = undefined;
        break;
      case "file":
        saveBlob(post.name, new Blob([...post.parts], { type: "application/octet-stream" }));
        break;
      case "notice":
        this.notice.value = post.text;
    }
  }
}
