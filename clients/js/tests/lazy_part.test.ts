import { expect, test } from "vitest";
import { ConnectionClosed, ConnectionFailed } from "../src/errors.ts";
import { LazyPart } from "../src/lazy_part.ts";
import { Stage, settled, staged } from "./fakes.ts";

test("a part is loaded once, when there is a connection", async () => {
  const stage = new Stage();
  const made: string[] = [];
  let imports = 0;
  const part = new LazyPart(
    stage.parts.connection,
    "try",
    async () => `part ${++imports}`,
    (each) => made.push(each),
  );
  const loading = [part.load(), part.load()];
  await settled();
  expect([imports, part.loaded]).toEqual([0, undefined]);
  await stage.greet();
  expect(await Promise.all(loading)).toEqual(["part 1", "part 1"]);
  expect([await part.load(), part.loaded, made]).toEqual(["part 1", "part 1", ["part 1"]]);
});

test("a part that cannot be loaded fails the call, and the next one tries again", async () => {
  const { parts } = await staged();
  let fails = true;
  const part = new LazyPart(parts.connection, "publish", async () => {
    if (fails) {
      throw new TypeError("404");
    }
    return "part";
  });
  await expect(part.load()).rejects.toThrow(ConnectionFailed);
  await expect(part.load()).rejects.toThrow(/code to publish cannot be loaded: TypeError: 404; load the page anew/);
  fails = false;
  expect(await part.load()).toBe("part");
});

test("nothing is loaded for a client that is closed, also meanwhile", async () => {
  const stage = await staged();
  let arrive = (_: string): void => undefined;
  const imported = new Promise<string>((resolve) => {
    arrive = resolve;
  });
  const part = new LazyPart(stage.parts.connection, "publish", () => imported);
  const loading = part.load();
  loading.catch(() => undefined);
  await settled();
  stage.wire.lose(1000, "");
  arrive("part");
  await expect(loading).rejects.toThrow(ConnectionClosed);
  await expect(part.load()).rejects.toThrow(ConnectionClosed);
  expect(part.loaded).toBeUndefined();
});
