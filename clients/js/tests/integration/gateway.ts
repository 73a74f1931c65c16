/** Gateways for tests: the real command, in a process of its own, and the proxy of the Python tests before it. */

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { onTestFinished } from "vitest";
import * as gateways from "../gateway.ts";

/** Start a gateway on a free port, with further arguments of `frys serve`; it ends with the test. */
export async function startGateway(...options: string[]): Promise<gateways.RunningGateway> {
  const gateway = await gateways.startGateway(["--drain-deadline", "0.2", ...options]);
  onTestFinished(() => gateway.stop());
  return gateway;
}

/** Direction of a proxy. */
export type Way = "TO_GATEWAY" | "TO_CLIENT";

/** CuttingProxy that cuts, holds back and loses: `tests/integration/proxy.py`. */
export class CuttingProxy {
  readonly url: string;
  readonly #program: ChildProcessByStdio<Writable, Readable, null>;
  readonly #answers: AsyncIterator<string>;

  private constructor(
    program: ChildProcessByStdio<Writable, Readable, null>,
    answers: AsyncIterator<string>,
    port: string,
  ) {
    this.#program = program;
    this.#answers = answers;
    this.url = `ws://127.0.0.1:${port}`;
  }

  static async start(gatewayUrl: string): Promise<CuttingProxy> {
    const command = ["-m", "tests.integration.proxy_command", gatewayUrl];
    const program = spawn(gateways.PYTHON, command, { cwd: gateways.ROOT, stdio: ["pipe", "pipe", "inherit"] });
    onTestFinished(() => void program.stdin.end());
    const answers = createInterface(program.stdout)[Symbol.asyncIterator]();
    return new CuttingProxy(program, answers, (await answers.next()).value);
  }

  /** Cut every connection that stands. */
  cut(): Promise<string> {
    return this.#ask("cut");
  }

  /** Cut the connection that hands on so many bytes from now, right after them. */
  cutAfter(way: Way, bytes: number): Promise<string> {
    return this.#ask(`cut_after ${way} ${bytes}`);
  }

  /** Hand nothing on in a direction until {@link CuttingProxy.release}. */
  hold(way: Way): Promise<string> {
    return this.#ask(`hold ${way}`);
  }

  release(way: Way): Promise<string> {
    return this.#ask(`release ${way}`);
  }

  /** Hand on no more than so many bytes a second in a direction. */
  pace(way: Way, bytesPerS: number): Promise<string> {
    return this.#ask(`pace ${way} ${bytesPerS}`);
  }

  /** Take and throw away what comes in a direction, until a cut: for answers that get lost. */
  swallow(way: Way): Promise<string> {
    return this.#ask(`swallow ${way}`);
  }

  /** Refuse connections, or accept them again. */
  accept(accepting: boolean): Promise<string> {
    return this.#ask(`accept ${accepting ? 1 : 0}`);
  }

  /** Lead later connections to another gateway. */
  leadTo(gatewayUrl: string): Promise<string> {
    return this.#ask(`lead_to ${gatewayUrl}`);
  }

  /** Number of connections so far. */
  async connected(): Promise<number> {
    return Number(await this.#ask("connected"));
  }

  async #ask(order: string): Promise<string> {
    this.#program.stdin.write(`${order}\n`);
    return (await this.#answers.next()).value;
  }
}

/** Wait until a condition holds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
