import { afterEach, expect, test, vi } from "vitest";
import { onReturn } from "../src/page_events.ts";

afterEach(() => vi.unstubAllGlobals());

test("a page that is visible again, and a network that is back, call back until the end", () => {
  const page = Object.assign(new EventTarget(), { visibilityState: "hidden" });
  vi.stubGlobal("document", page);
  const network = new EventTarget();
  vi.stubGlobal("addEventListener", network.addEventListener.bind(network));
  vi.stubGlobal("removeEventListener", network.removeEventListener.bind(network));
  const callback = vi.fn();
  const end = onReturn(callback);
  page.dispatchEvent(new Event("visibilitychange"));
  expect(callback).not.toHaveBeenCalled();
  page.visibilityState = "visible";
  page.dispatchEvent(new Event("visibilitychange"));
  network.dispatchEvent(new Event("online"));
  expect(callback).toHaveBeenCalledTimes(2);
  end();
  network.dispatchEvent(new Event("online"));
  expect(callback).toHaveBeenCalledTimes(2);
});

test("in Node there is nothing to listen to", () => {
  expect(onReturn(() => undefined)()).toBeUndefined();
});
