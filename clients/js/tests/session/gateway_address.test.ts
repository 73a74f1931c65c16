import { expect, test } from "vitest";
import { InvalidArgument } from "../../src/errors.ts";
import { GatewayAddress } from "../../src/session/gateway_address.ts";

test.each(["gateway:8765", "http://gateway", "", "ws://"])("'%s' is no URL of a gateway", (url) => {
  expect(() => new GatewayAddress(url, "agent")).toThrow(InvalidArgument);
});

test("while attempts fail, the address and the URL of the program take turns", () => {
  const address = new GatewayAddress("ws://own:1", "agent");
  expect(address.move("ws://other:2")).toBeUndefined();
  const tried = [];
  for (let attempt = 0; attempt < 4; attempt++) {
    tried.push(new URL(address.next).hostname);
    address.failed(false);
  }
  expect(tried).toEqual(["other", "own", "other", "own"]);
});

test("a client stays at an address, and forgets one that refuses it for good before it ever worked", () => {
  const address = new GatewayAddress("ws://own:1", "agent");
  address.move("ws://other:2");
  address.connected();
  expect(address.failed(true)).toBe(false);
  address.move("ws://third:3");
  expect(address.failed(true)).toBe(true);
  expect(new URL(address.next).hostname).toBe("own");
});

test("an address that is no URL, or that is not encrypted as the URL of the program, is ignored", () => {
  const address = new GatewayAddress("wss://own:1", "agent");
  expect(address.move("nowhere")).toMatch(/no URL/);
  expect(address.move("ws://other:2")).toMatch(/not encrypted/);
  expect(address.next).toBe("wss://own:1/?client_type=agent");
});
