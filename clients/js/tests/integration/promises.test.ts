/**
 * Promises of streams, against a simple model: real sockets, cuts, stalled networks, lost answers, slow programs and restarts, in an
 * order that a seed decides. `PROMISES_SEEDS=100` runs more of them, `PROMISES_SEED` repeats one.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type Client, connect } from "../../src/client.ts";
import type { TransmissionResult } from "../../src/sending/result.ts";
import type { Gap } from "../../src/subscribing/subscription_position.ts";
import type { RunningGateway } from "../gateway.ts";
import { Random } from "../random.ts";
import { CuttingProxy, startGateway, until } from "./gateway.ts";

const STREAMS = {
  "wf/ledger": { kind: "event", durability: "fsync" },
  "wf/trace": { kind: "event", durability: "memory" },
  "wf/model": { kind: "state", durability: "os" },
  "wf/pose": { kind: "state", durability: "memory" },
  "wf/tasks": { kind: "collaboration", durability: "fsync" },
} as const;
type Stream = keyof typeof STREAMS;
const NAMES = Object.keys(STREAMS) as Stream[];
const QUICK = { baseMs: 5, capMs: 20, laterMs: 10 };
const STEPS = 40;
const SEEDS = process.env.PROMISES_SEED
  ? [Number(process.env.PROMISES_SEED)]
  : Array.from({ length: Number(process.env.PROMISES_SEEDS ?? 4) }, (_, seed) => seed);

interface Seen {
  readonly stream: string;
  readonly epoch: number;
  readonly offset: bigint;
  readonly number: number;
}

class World {
  readonly random: Random;
  readonly #store: string[];
  readonly published: { stream: Stream; number: number; result: Promise<TransmissionResult> }[] = [];
  readonly seen: Seen[] = [];
  readonly gaps: Gap[] = [];
  gateway!: RunningGateway;
  toPublisher!: CuttingProxy;
  toReader!: CuttingProxy;
  publisher!: Client;
  reader!: Client;
  awake = true;
  restarts = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
    const folder = mkdtempSync(join(tmpdir(), "frys-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    this.#store = ["--store", `sqlite:${folder}/streams.db`];
  }

  async begin(): Promise<void> {
    this.gateway = await startGateway(...this.#store);
    this.toPublisher = await CuttingProxy.start(this.gateway.url);
    this.toReader = await CuttingProxy.start(this.gateway.url);
    this.publisher = await connect(this.toPublisher.url, { backoff: QUICK });
    this.reader = await connect(this.toReader.url, { backoff: QUICK, clientId: "reader" });
    onTestFinished(() => this.publisher.close());
    onTestFinished(() => this.reader.close());
  }

  async restart(): Promise<void> {
    this.restarts++;
    await this.gateway.stop(this.random.of(["SIGTERM", "SIGKILL"]));
    this.gateway = await startGateway(...this.#store);
    await this.toPublisher.leadTo(this.gateway.url);
    await this.toReader.leadTo(this.gateway.url);
  }

  publish(): void {
    const stream = this.random.of(NAMES);
    for (let count = 1 + this.random.below(4); count > 0; count--) {
      void this.publishOne(stream).catch(() => undefined);
    }
  }

  publishOne(stream: Stream): Promise<TransmissionResult> {
    const number = this.published.length + 1;
    const value = new Int32Array(this.random.of([1, 1, 50, 5000, 200_000])).fill(number);
    const codec = this.random.of(["none", "lz4"] as const);
    const result = this.publisher.publish(stream, value, { ...STREAMS[stream], codec, timeoutMs: 60_000 });
    this.published.push({ stream, number, result });
    return result;
  }

  async step(): Promise<void> {
    const steps: (() => unknown)[] = [
      () => this.publish(),
      () => this.publish(),
      () => this.publish(),
      () => this.random.of([this.toPublisher, this.toReader]).cut(),
      () => this.toPublisher.swallow("TO_CLIENT").then(() => this.publish()),
      () => this.toPublisher.cutAfter("TO_GATEWAY", this.random.below(600_000)),
      () => this.toReader.cutAfter("TO_CLIENT", this.random.below(600_000)),
      () => this.toReader.hold("TO_CLIENT"),
      () => this.toReader.release("TO_CLIENT"),
      () => {
        this.awake = !this.awake;
      },
      () => new Promise((resolve) => setTimeout(resolve, this.random.below(20))),
      () => this.restarts < 1 && this.random.below(4) === 0 && this.restart(),
    ];
    await this.random.of(steps)();
  }
}

test.each(SEEDS)("promises are kept, seed %i", { timeout: 120_000 }, async (seed) => {
  const world = new World(seed);
  await world.begin();
  const subscription = await world.reader.subscribe("wf/*", { onGap: (gap) => world.gaps.push(gap) });
  void (async () => {
    for await (const { stream, epoch, offset, tensor } of subscription) {
      const data = tensor.data as Int32Array;
      expect(data.every((element) => element === data[0])).toBe(true);
      world.seen.push({ stream, epoch, offset, number: data[0] });
      await until(() => world.awake);
    }
  })();
  // A stream that begins while its reader is away and the gateway restarts is the reader's from its return on only.
  await Promise.all(NAMES.map((stream) => world.publishOne(stream)));
  await until(() => world.seen.length >= NAMES.length);
  for (let step = 0; step < STEPS; step++) {
    await world.step();
  }
  world.awake = true;
  await world.toReader.release("TO_CLIENT");
  await world.toPublisher.cut(); // nothing is swallowed any more
  const model = new Map<string, number>();
  const newest = new Map<string, { epoch: number; offset: bigint }>();
  for (const { stream, number, result } of world.published) {
    const { epoch, offset } = await result;
    const place = `${stream} ${epoch} ${offset}`;
    expect(model.has(place)).toBe(false);
    model.set(place, number);
    newest.set(stream, { epoch, offset });
  }
  const has = (stream: string, epoch: number, offset: bigint): boolean =>
    world.seen.some((seen) => seen.stream === stream && seen.epoch === epoch && seen.offset === offset);
  for (const [stream, { epoch, offset }] of newest) {
    await until(() => has(stream, epoch, offset));
  }
  expect(world.gaps).toEqual([]);
  for (const stream of NAMES) {
    const seen = world.seen.filter((each) => each.stream === stream);
    const places = seen.map(({ epoch, offset }) => epoch * 1000 + Number(offset));
    expect([...new Set(places)].sort((a, b) => a - b)).toEqual(places); // nothing twice, nothing out of order
    for (const { epoch, offset, number } of seen) {
      expect(model.get(`${stream} ${epoch} ${offset}`) ?? number).toBe(number);
    }
    const last = newest.get(stream);
    if (last && STREAMS[stream].kind !== "state") {
      const offsets = seen.filter(({ epoch }) => epoch === last.epoch).map(({ offset }) => offset);
      const { failed, duplicates, dropped } = subscription.counts;
      expect([stream, offsets, failed, dropped], `${duplicates} duplicates`).toEqual([
        stream,
        Array.from({ length: Number(last.offset) + 1 }, (_, offset) => BigInt(offset)),
        0n,
        0n,
      ]);
    }
  }
  await until(async () => {
    const account = await world.reader.account(subscription);
    return [...account].every(([stream, counts]) => isSame(counts, subscription.account.get(stream)));
  });
});

function isSame(one: object, other: object | undefined): boolean {
  const text = (_: string, value: unknown): unknown => (typeof value === "bigint" ? String(value) : value);
  return JSON.stringify(one, text) === JSON.stringify(other, text);
}
