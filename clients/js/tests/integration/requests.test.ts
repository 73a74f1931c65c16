/** Requests, replies and groups, between clients of this library and a real gateway. */

import { describe, expect, onTestFinished, test } from "vitest";
import { type Client, connect } from "../../src/client.ts";
import { Code, ConnectionFailed, RequestFailed, RequestRefused, RequestTimeout, UsageError } from "../../src/errors.ts";
import type { ClientOptions } from "../../src/options.ts";
import type { Inbox, Request } from "../../src/requests/inbox.ts";
import type { ClientState } from "../../src/session/connection.ts";
import { CuttingProxy, startGateway, until } from "./gateway.ts";

const LARGE = Float32Array.from({ length: 1_000_000 }, (_, index) => index);

async function connected(url: string, options: ClientOptions = {}): Promise<Client> {
  const client = await connect(url, { backoff: { baseMs: 5, capMs: 20 }, onError: () => undefined, ...options });
  onTestFinished(() => client.close());
  return client;
}

async function answering(inbox: Inbox, answer: (request: Request) => Promise<void>): Promise<void> {
  for await (const request of inbox) {
    await answer(request);
  }
}

test("a request is answered with tensors and headers, small and large, both ways", async () => {
  const gateway = await startGateway();
  const worker = await connected(gateway.url, { clientId: "worker" });
  const asker = await connected(gateway.url);
  void answering(await worker.inbox(), (request) => {
    const doubled = (request.tensor.data as Float32Array).map((element) => 2 * element);
    return request.reply({ doubled }, { headers: { from: request.address } });
  });
  const reply = await asker.request("agent:worker", Float32Array.of(1, 2));
  expect([reply.headers, reply.named("doubled")?.data]).toEqual([{ from: "agent:worker" }, Float32Array.of(2, 4)]);
  const large = await asker.request("agent:worker", LARGE);
  expect(large.tensor.data[999_999]).toBe(1_999_998);
  await expect(worker.inbox()).rejects.toThrow(UsageError);
});

test("partial replies come as they arrive, and the last one ends the iteration", async () => {
  const gateway = await startGateway();
  const worker = await connected(gateway.url, { clientId: "worker" });
  const asker = await connected(gateway.url);
  void answering(await worker.inbox(), async (request) => {
    await request.replyPart(Int8Array.of(1));
    await request.replyPart(LARGE);
    await request.reply(Int8Array.of(3));
  });
  const sizes: number[] = [];
  for await (const part of asker.requestStream("agent:worker", null, { headers: { go: true } })) {
    sizes.push(part.tensor.size);
  }
  expect(sizes).toEqual([1, 1_000_000, 1]);
  expect((await asker.request("agent:worker", null)).tensor.data).toEqual(Int8Array.of(3));
});

describe("a request fails", () => {
  test("with the reason of the replier", async () => {
    const gateway = await startGateway();
    const worker = await connected(gateway.url, { clientId: "worker" });
    void answering(await worker.inbox(), (request) => request.fail("no such layer"));
    const asker = await connected(gateway.url);
    const failing = asker.request("agent:worker", null);
    await expect(failing).rejects.toThrow(RequestFailed);
    await expect(failing).rejects.toThrow(/agent:worker failed: no such layer/);
  });

  test("if nobody listens, and if the replier is lost", async () => {
    const gateway = await startGateway();
    const proxy = await CuttingProxy.start(gateway.url);
    const asker = await connected(gateway.url);
    await expect(asker.request("agent:nobody", null)).rejects.toThrow(
      expect.objectContaining({ code: Code.NO_SUCH_PEER }),
    );
    const worker = await connected(proxy.url, { clientId: "worker" });
    const inbox = await worker.inbox();
    const asking = asker.request("agent:worker", null);
    asking.catch(() => undefined); // it may fail while the proxy is still being asked
    const request = await inbox.next();
    await proxy.cut();
    await expect(asking).rejects.toThrow(expect.objectContaining({ code: Code.PEER_GONE }));
    await until(() => request?.cancelled === true);
    await until(() => worker.state === "connected");
    await request?.reply(Int8Array.of(1)); // dropped, and reported
    void answering(inbox, (found) => found.reply(Int8Array.of(2)));
    const again = async (): Promise<boolean> => {
      const answer = await asker.request("agent:worker", null).catch((error: RequestRefused) => error);
      return !(answer instanceof RequestRefused && answer.code === Code.NO_SUCH_PEER);
    };
    await until(again); // its inbox is opened again a moment after its connection
    expect((await asker.request("agent:worker", null)).tensor.data).toEqual(Int8Array.of(2));
  });

  test("at its deadline, and with a lost connection of its own", async () => {
    const gateway = await startGateway();
    const proxy = await CuttingProxy.start(gateway.url);
    const worker = await connected(gateway.url, { clientId: "worker" });
    const inbox = await worker.inbox();
    const asker = await connected(proxy.url);
    const late = asker.request("agent:worker", null, { expiresInMs: 200 });
    await expect(late).rejects.toThrow(expect.objectContaining({ code: Code.EXPIRED }));
    const lost = asker.request("agent:worker", null);
    lost.catch(() => undefined);
    await inbox.next();
    await proxy.cut();
    await expect(lost).rejects.toThrow(ConnectionFailed);
  });
});

test("whoever gives a request up cancels it at the replier", async () => {
  const gateway = await startGateway();
  const worker = await connected(gateway.url, { clientId: "worker" });
  const inbox = await worker.inbox();
  const asker = await connected(gateway.url);
  const aborting = new AbortController();
  const asking = asker.request("agent:worker", null, { signal: aborting.signal });
  asking.catch(() => undefined);
  const request = await inbox.next();
  aborting.abort(new Error("enough"));
  await expect(asking).rejects.toThrow("enough");
  await request?.waitCancelled();
  expect(request?.cancelled).toBe(true);
  const late = asker.requestStream("agent:worker", null, { timeoutMs: 100 });
  await expect(late.next()).rejects.toThrow(RequestTimeout);
});

test("requests to a group go to its members, and to another one if a member is lost", async () => {
  const gateway = await startGateway();
  const proxy = await CuttingProxy.start(gateway.url);
  const first = await connected(proxy.url, { clientId: "first" });
  const second = await connected(gateway.url, { clientId: "second" });
  const [lost, kept] = [await first.inbox({ group: "solvers" }), await second.inbox({ group: "solvers" })];
  const asker = await connected(gateway.url);
  const asking = [0, 1].map((number) => asker.request("group:solvers", Int8Array.of(number)));
  expect((await lost.next())?.address).toBe("group:solvers");
  void answering(kept, (request) => request.reply(request.tensor));
  await proxy.accept(false);
  await proxy.cut();
  const answers = (await Promise.all(asking)).map(({ tensor }) => Number(tensor.data[0]));
  expect(answers).toEqual([0, 1]);
  await kept.close();
  await expect(asker.request("group:solvers", null)).rejects.toThrow(RequestRefused);
});

test("a request that could not be written goes out on the next connection", async () => {
  const gateway = await startGateway();
  const proxy = await CuttingProxy.start(gateway.url);
  const worker = await connected(gateway.url, { clientId: "worker" });
  void answering(await worker.inbox(), (request) => request.reply(Int32Array.of(request.tensor.size)));
  let losses = 0;
  const onState = (state: ClientState): void => {
    losses += state === "reconnecting" ? 1 : 0;
  };
  const asker = await connected(proxy.url, { onState });
  await proxy.cutAfter("TO_GATEWAY", 1_000_000);
  const larger = new Uint8Array(40_000_000); // more than the buffers of all sockets between hold
  expect((await asker.request("agent:worker", larger)).tensor.data).toEqual(Int32Array.of(40_000_000));
  await proxy.cut();
  await until(() => losses === 2);
  expect((await asker.request("agent:worker", Int8Array.of(1))).tensor.data).toEqual(Int32Array.of(1));
});
