/** Dropped handles: the program has let go of them without closing what they stand for. */

const DROPPED = /* @__PURE__ */ new FinalizationRegistry<() => unknown>((close) => close());

/**
 * Call back some time after the program has let go of a handle.
 *
 * @param close must not refer to the handle, nor be made where another function does: it would hold it.
 */
export function onDropped(handle: object, close: () => unknown): void {
  DROPPED.register(handle, close);
}
