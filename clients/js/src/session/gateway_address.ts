/** Address of the gateway: the program's URL, and the one that GO_AWAY has named (`spec/client.md`, section 2). */

import { InvalidArgument } from "../errors.ts";

/** Return a URL of a WebSocket, or undefined. */
function webSocketUrl(text: string): URL | undefined {
  try {
    const url = new URL(text);
    return url.protocol === "ws:" || url.protocol === "wss:" ? url : undefined;
  } catch {
    return undefined;
  }
}

export class GatewayAddress {
  readonly #own: URL;
  readonly #clientType: string;
  #moved: URL | undefined;
  /** True once a connection to the moved address stood. */
  #proven = false;
  #failures = 0;

  /**
   * @param url `ws://host:port` or `wss://host:port`.
   * @throws InvalidArgument another URL.
   */
  constructor(url: string, clientType: string) {
    const own = webSocketUrl(url);
    if (!own) {
      throw new InvalidArgument(`'${url}' is no URL of a gateway: use ws://host:port, or wss://host:port`);
    }
    this.#own = own;
    this.#clientType = clientType;
  }

  /** URL of the next attempt, with the type of the client: while attempts fail, both addresses take turns. */
  get next(): string {
    const url = new URL(this.#isMoved && this.#moved ? this.#moved : this.#own);
    url.searchParams.set("client_type", this.#clientType);
    return url.href;
  }

  get #isMoved(): boolean {
    return this.#moved !== undefined && this.#failures % 2 === 0;
  }

  /**
   * Go to another gateway from now on.
   *
   * @returns the reason for which the address is ignored; undefined: it is not.
   */
  move(address: string): string | undefined {
    const url = webSocketUrl(address);
    if (!url) {
      return `the gateway named '${address}', which is no URL of a gateway`;
    }
    if (this.#own.protocol === "wss:" && url.protocol === "ws:") {
      return `the gateway named ${address}, which is not encrypted as ${this.#own.origin} is`;
    }
    this.#moved = url;
    this.#proven = false;
    this.#failures = 0;
    return undefined;
  }

  connected(): void {
    this.#proven ||= this.#isMoved;
    if (!this.#isMoved) {
      this.#moved = undefined;
    }
    this.#failures = 0;
  }

  /**
   * Take note of a failed attempt.
   *
   * @param final true: the same would fail again.
   * @returns whether another attempt can help all the same, since an address was refused that never worked.
   */
  failed(final: boolean): boolean {
    const hopeful = final && this.#isMoved && !this.#proven;
    if (hopeful) {
      this.#moved = undefined;
    }
    this.#failures++;
    return hopeful;
  }
}
