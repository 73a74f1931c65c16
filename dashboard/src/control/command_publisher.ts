/** Publisher of commands: a client of the gateway, which connects for the first command and leaves with the view. */

import { type Client, connect, Tensor, type TransmissionResult } from "@frys/client";
import { token } from "../api/token.ts";
import type { Command } from "./draft.ts";

/** Longest time for which an acknowledgement is waited for. */
const TIMEOUT_MS = 10_000;

export class CommandPublisher {
  #client: Promise<Client> | undefined;

  /**
   * Publish a command; returns its acknowledgement.
   *
   * @throws Error the gateway cannot be reached, refuses the command, or does not acknowledge it in time.
   */
  async publish({ stream, headers, tensor }: Command): Promise<TransmissionResult> {
    const client = await this.#connected();
    const value = tensor && Tensor.from(tensor.array, tensor.shape, { dtype: tensor.dtype });
    return client.publish(stream, value, { kind: "control", headers, timeoutMs: TIMEOUT_MS });
  }

  close(): void {
    void this.#client?.then(
      (client) => client.close(),
      () => undefined,
    );
    this.#client = undefined;
  }

  #connected(): Promise<Client> {
    this.#client ??= connect(new URL("/ws", location.href.replace(/^http/, "ws")).href, {
      clientType: "admin_panel",
      agent: "dashboard",
      token: token.value,
      worker: false,
      // What a call has to tell it throws; the pollers of the page tell of a lost connection.
      onError: () => undefined,
      onNotice: () => undefined,
    }).catch((error: unknown) => {
      this.#client = undefined;
      throw error;
    });
    return this.#client;
  }
}
