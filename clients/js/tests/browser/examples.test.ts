/** The examples for pages run as they are, each in a page of its own that knows nothing but addresses. */

import { expect, inject, onTestFinished, test } from "vitest";
import { commands } from "vitest/browser";
import { connect } from "../../src/client.ts";
import { Tensor } from "../../src/protocol/tensors.ts";

const URL_OF_GATEWAY = inject("url");

function addressOf(example: string, stream: string): string {
  const options = new URLSearchParams({ url: URL_OF_GATEWAY, admin: inject("adminUrl"), stream });
  return `${inject("examplesUrl")}/${example}?${options}`;
}

test("heat_map.html draws the newest version", async () => {
  await commands.publishStates(URL_OF_GATEWAY, "example/field", { hz: 100, seconds: 0.2, shape: [3, 4] });
  const text = "example/field, version 19: float32 [3,4]";
  // All numbers are the same, and have the first colour of the map.
  expect(await commands.drawn(addressOf("heat_map.html", "example/field"), text)).toEqual({
    size: [4, 3],
    last: [0, 0, 4, 255],
  });
});

test("a page that is really hidden draws nothing, and shows the newest version as soon as it is back", async () => {
  const found = await commands.hidden(addressOf("heat_map.html", "example/back"), URL_OF_GATEWAY, "example/back");
  const version = (number: number): string => `example/back, version ${number}: float32 [2,2]`;
  expect(found).toEqual({ before: version(9), meanwhile: version(9), visibility: "hidden", after: version(109) });
});

test("coarse_view.html shows a part as bytes, and the numbers that they stand for", async () => {
  const client = await connect(URL_OF_GATEWAY);
  onTestFinished(() => client.close());
  const field = Float32Array.from({ length: 16 * 32 }, (_, index) => index);
  await client.publish("example/large", Tensor.from(field, [16, 32]), { kind: "state" });
  // The last of every fourth row and column.
  const text = `example/large: 32 bytes, the last stands for ${12 * 32 + 28}`;
  expect(await commands.drawn(addressOf("coarse_view.html", "example/large"), text)).toEqual({
    size: [8, 4],
    last: [255, 255, 255, 255],
  });
});

test("curve.html draws all events", async () => {
  const client = await connect(URL_OF_GATEWAY);
  onTestFinished(() => client.close());
  for (const value of [4, 2, 1]) {
    await client.publish("example/loss", Tensor.from(Float32Array.of(value), []), { kind: "event" });
  }
  const { size } = await commands.drawn(addressOf("curve.html", "example/loss"), "example/loss, event 2: 1");
  expect(size).toEqual([512, 128]);
});

test("slider.html publishes, and follows the others", async () => {
  const place = await commands.moved(addressOf("slider.html", "example/slider"), "0.75", "is at the gateway");
  expect(place).toBe("0.75");
});
