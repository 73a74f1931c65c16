/** The page before a gateway that asks for a token: it asks its person for one, and shows it wherever it reads. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PYTHON, ROOT } from "../../../clients/js/tests/gateway.ts";
import { CAN_RUN, Stage } from "./stage.ts";

/** A `.npy` file of four numbers. */
const NUMBERS = Buffer.concat([
  Buffer.from("\x93NUMPY\x01\x00v\x00", "latin1"),
  Buffer.from("{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }".padEnd(117)),
  Buffer.from("\n"),
  Buffer.from(new Float32Array([1, 2, 3, 4]).buffer),
]);

describe.skipIf(!CAN_RUN)("a page whose gateway asks for a token", () => {
  const folder = mkdtempSync(join(tmpdir(), "frys-"));
  const frys = (...args: string[]): string =>
    execFileSync(PYTHON, ["-m", "gateway", ...args], { cwd: folder, env: { ...process.env, PYTHONPATH: ROOT } })
      .toString()
      .trim();
  const tokenOf = (type: string): string => frys("token", "--client-id", "boss", "--client-type", type);
  let stage: Stage;
  beforeAll(async () => {
    frys("keys", "generate");
    const keys = ["--keys", `file:${folder}/keys.json`];
    stage = await Stage.start((port, adminPort) => [
      [["-m", "gateway", "serve", "--port", port, "--admin-port", adminPort, ...keys], "listening on"],
    ]);
  });
  afterAll(async () => {
    await stage?.stop();
    rmSync(folder, { recursive: true });
  });

  test("asks for it, and then shows everything", async () => {
    const admin = tokenOf("admin_panel");
    const headers = { authorization: `Bearer ${admin}` };
    const path = new URL("/api/v1/streams/wf/numbers", stage.address);
    expect((await fetch(path, { method: "PUT", body: NUMBERS })).status).toBe(401);
    expect((await fetch(path, { method: "PUT", body: NUMBERS, headers })).status).toBe(200);
    const { page } = await stage.open("#/streams/wf/numbers");
    const field = page.getByLabel(/The gateway asks for the token of an admin_panel/);
    await field.fill("no token");
    await page.getByRole("button", { name: "Show the token" }).click();
    await page.getByText("That is no token.").waitFor();
    await page.locator("input[name=token]").fill(admin);
    await page.getByRole("button", { name: "Show the token" }).click();
    await page.getByText(/^Version \d/).waitFor();
    expect(await page.locator("input[name=token]").count()).toBe(0);
    expect(page.url()).not.toContain(admin);
    // The viewer in its worker has connected by the token as well.
    await expect.poll(() => page.locator(".viewer-taken").textContent(), { timeout: 20_000 }).toMatch(/every element/);
    const saving = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download .npy" }).first().click();
    expect((await saving).suggestedFilename()).toBe("wf-numbers.npy");
    await page.context().close();
  });

  test("tells why a token is refused", async () => {
    const { page } = await stage.open("");
    await page.locator("input[name=token]").fill(tokenOf("agent"));
    await page.getByRole("button", { name: "Show the token" }).click();
    await page.getByLabel(/it is for agent, not for admin_panel/).waitFor();
    await page.context().close();
  });
});
