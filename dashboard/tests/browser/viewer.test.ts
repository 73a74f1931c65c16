import type { ChildProcess } from "node:child_process";
import { readFile } from "node:fs/promises";
import type { Browser, Page } from "playwright";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type RunningGateway, startGateway } from "../../../clients/js/tests/gateway.ts";
import { colourPlane } from "../../src/viewer/numbers/colour_maps.ts";
import { CAN_RUN } from "./stage.ts";
import { coloursOf, fact, kill, launch, open, publish } from "./viewing.ts";

const POLL = { timeout: 20_000, interval: 100 };

describe.skipIf(!CAN_RUN)("the viewer", () => {
  let browser: Browser;
  let gateway: RunningGateway;
  const children: ChildProcess[] = [];
  const pages: Page[] = [];
  const errors: string[] = [];

  beforeAll(async () => {
    [browser, gateway] = await Promise.all([launch(), startGateway()]);
    children.push(await publish(gateway.url, "fixed"), await publish(gateway.url, "counter"));
  });

  afterEach(async () => {
    await Promise.all(pages.splice(0).map((page) => page.close()));
    expect(errors.splice(0)).toEqual([]);
  });

  afterAll(async () => {
    await Promise.all(children.map(kill));
    await browser?.close();
    await gateway?.stop();
  });

  async function opened(address: string, said = errors): Promise<Page> {
    const page = await open(browser, gateway.adminUrl, address, said);
    pages.push(page);
    return page;
  }

  test("the pixels of a heat map are those of the array", async () => {
    const page = await opened("view/cells");
    await expect.poll(() => fact(page, "NaN"), POLL).toBe("1");
    const numbers = Float32Array.from({ length: 48 }, (_, index) => (index === 19 ? Number.NaN : index));
    const plane = { numbers, rows: 6, columns: 8, rowStride: 8, columnStride: 1, channels: 1 };
    const colours = new Uint32Array(48);
    colourPlane(plane, { low: 0, high: 47 }, "viridis", false, colours);
    expect(await coloursOf(page, 6, 8)).toEqual(Array.from(new Uint8Array(colours.buffer)));
    expect(await fact(page, "Mean")).toBe(`${Number(((47 * 24 - 19) / 47).toPrecision(5))}`);
  });

  test("the pixels of an image are those of the array", async () => {
    const page = await opened("view/image");
    await expect.poll(() => fact(page, "Elements"), POLL).toBe("72");
    const expected = Array.from({ length: 24 }, (_, index) => {
      const [row, column] = [Math.floor(index / 6), index % 6];
      return [row * 60, column * 40, (row + column) * 20, 255];
    });
    expect(await coloursOf(page, 4, 6)).toEqual(expected.flat());
  });

  test("64-bit integers are shown exactly", async () => {
    const page = await opened("view/exact?view=numbers");
    await page.getByRole("cell", { name: "4611686018427387905" }).waitFor();
  });

  test("a slider moves through the dimensions that are not shown, and is in the address", async () => {
    const page = await opened("view/cube?at=0:1");
    await expect.poll(() => fact(page, "Least"), POLL).toBe("60");
    await page.getByLabel("Dimension 1").fill("2");
    await expect.poll(() => fact(page, "Least"), POLL).toBe("100");
    await expect.poll(() => page.url(), POLL).toContain(`at=${encodeURIComponent("0:1,1:2")}`);
  });

  test("keys of the canvas move and zoom it, and 0 shows the whole", async () => {
    const page = await opened("view/cells");
    const canvas = page.getByRole("application");
    await expect.poll(() => fact(page, "Elements"), POLL).toBe("48");
    for (const key of ["+", "+", "+", "+", "+", "ArrowRight"]) {
      await canvas.press(key);
    }
    await expect.poll(() => page.url(), POLL).toContain("zoom=");
    await expect.poll(() => page.locator(".viewer-taken").textContent(), POLL).toMatch(/\[.*:.*\]: \d+ elements came/);
    await canvas.press("0");
    await expect.poll(() => page.url(), POLL).not.toContain("zoom=");
  });

  test("what has changed since the version before is shown", async () => {
    const page = await opened("view/events?offset=4&diff=1");
    await expect.poll(() => fact(page, "Mean"), POLL).toBe("1");
    expect(await page.locator(".viewer-taken").textContent()).toContain("minus version 3");
  });

  test("a state of 10,000 x 10,000 costs what the screen can show; a part that is zoomed into comes finer", async () => {
    children.push(await publish(gateway.url, "large"));
    const page = await opened("view/large");
    await expect.poll(() => fact(page, "Most"), POLL).toMatch(/^99\d\d$/);
    expect(await page.locator(".viewer-taken").textContent()).toMatch(/\[::\d+, ::\d+\]: \d{2,3},\d{3} elements came/);
    await expect.poll(() => fact(page, "In total"), POLL).toMatch(/^\d, ([\d.]+ kB|[1-3]\.\d+ MB)$/);
    const box = await page.locator(".viewer-canvas").boundingBox();
    await page.mouse.move((box?.x ?? 0) + (box?.width ?? 0) / 2, (box?.y ?? 0) + (box?.height ?? 0) / 2);
    await page.mouse.wheel(0, -3500);
    await expect.poll(() => page.locator(".viewer-taken").textContent(), POLL).toMatch(/\[\d+:\d+, \d+:\d+\]/);
    await page.locator(".viewer-canvas").dblclick();
    await expect.poll(() => page.locator(".viewer-taken").textContent(), POLL).toMatch(/\[::\d+, ::\d+\]/);
  });

  test.each(["view/state", "view/events"])("%s is paused, and stepped back through", async (stream) => {
    const page = await opened(stream);
    await expect.poll(() => page.locator(".viewer-kept").textContent(), POLL).toMatch(/^\d{2,} kept/);
    await page.getByRole("button", { name: "Pause" }).click();
    await expect.poll(() => page.url(), POLL).toContain("offset=");
    const paused = Number(new URLSearchParams(page.url().split("?")[1]).get("offset"));
    await expect.poll(() => fact(page, "Offset"), POLL).toBe(`${paused}`);
    await page.getByRole("button", { name: "Version before" }).click();
    await expect.poll(async () => Number(await fact(page, "Offset")), POLL).toBeLessThan(paused);
    const before = await fact(page, "Offset");
    await expect.poll(() => fact(page, "Most"), POLL).toBe(before); // its elements are its offset
    await page.getByRole("button", { name: "Go on" }).click();
    await expect.poll(async () => Number(await fact(page, "Offset")), POLL).toBeGreaterThan(paused);
  });

  test("an event of the past is read again from the gateway's history", async () => {
    const page = await opened("view/events?offset=3");
    await expect.poll(() => fact(page, "Most"), POLL).toBe("3");
    await page.getByRole("button", { name: "Version before" }).click();
    await page.getByRole("button", { name: "Version before" }).click();
    await expect.poll(() => fact(page, "Most"), POLL).toBe("1");
  });

  test("scalars of an event stream are a series, from history on, over the steps of their headers", async () => {
    const page = await opened("view/loss");
    const row = page.locator(".viewer-table tbody tr").first();
    await expect
      .poll(() => row.locator("td").allTextContents(), POLL)
      .toEqual(["view/loss", "0.005", "–", "199", "199", "200", ""]);
    expect(await page.getByLabel("Over").inputValue()).toBe("step");
  });

  test("commands of a control stream are listed, with their headers", async () => {
    const page = await opened("view/commands");
    await page.getByText('{"command":"save"}').first().waitFor();
  });

  test("a tensor that is shown is downloaded as it came", async () => {
    const page = await opened("view/events?offset=5");
    await expect.poll(() => fact(page, "Most"), POLL).toBe("5");
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: ".npy" }).click(),
    ]);
    const file = await readFile(await download.path());
    expect(file.toString("latin1", 0, 100)).toContain("'descr': '<f4', 'fortran_order': False, 'shape': (16, 16)");
    expect(file.readFloatLE(file.length - 4)).toBe(5);
  });

  test("a page outlives its publisher and its gateway", async () => {
    const own = await startGateway();
    let publisher = await publish(own.url, "counter");
    const said: string[] = [];
    const page = await open(browser, own.adminUrl, "view/state", said);
    pages.push(page);
    await expect.poll(async () => Number(await fact(page, "Offset")), POLL).toBeGreaterThan(20);
    await kill(publisher);
    await own.stop("SIGKILL");
    await page.getByText("Connection lost, trying again").waitFor();
    const ports = [own.url, own.adminUrl].map((url) => new URL(url).port);
    const next = await startGateway(["--port", ports[0], "--admin-port", ports[1]]);
    publisher = await publish(next.url, "counter");
    // A stream of the same name, in another epoch: its offsets begin anew.
    await expect.poll(() => page.getByText("Connection lost").count(), POLL).toBe(0);
    await expect.poll(async () => Number(await fact(page, "Offset")), POLL).toBeLessThan(20);
    await expect.poll(async () => Number(await fact(page, "Most")), POLL).toBeGreaterThan(20);
    expect(said.filter((text) => !/ERR_CONNECTION|WebSocket|Failed to load/.test(text))).toEqual([]);
    await page.close();
    await kill(publisher);
    await next.stop();
  });
});
