/** Subscriptions whose messages go to a callback: one by one, or the newest of each stream once an animation frame. */

import type { Message } from "../messages/message.ts";
import type { Reports } from "../report.ts";
import type { Clock } from "../session/clock.ts";
import type { SubscriptionCore } from "./subscription_core.ts";

/** Time between two frames where the platform draws none. */
const FRAME_MS = 16;

/** Hand messages to a callback, each when the one before is finished, until the subscription ends. */
export async function callBack(
  core: SubscriptionCore,
  onMessage: (message: Message) => unknown,
  reports: Reports,
): Promise<void> {
  core.isCalledBack = true;
  for (;;) {
    let message: Message | undefined;
    try {
      message = await core.nextMessage();
    } catch (error) {
      core.report(error as Error);
    }
    if (!message) {
      return;
    }
    try {
      await onMessage(message);
    } catch (error) {
      failed(core, reports, error);
    }
  }
}

/** Refuse the message whose callback has failed, so that it is delivered again, and log the error. */
function failed(core: SubscriptionCore, reports: Reports, error: unknown): void {
  core.refuse();
  reports.warn(error);
}

/** Hand the newest message of each stream to a callback, once an animation frame. */
export function callBackLatest(
  core: SubscriptionCore,
  onMessage: (message: Message) => unknown,
  reports: Reports,
  clock: Clock,
): void {
  core.isCalledBack = true;
  let requested = false;
  const frame = (): void => {
    requested = false;
    for (let left = core.buffer.size; left > 0; left--) {
      const message = core.takeMessage();
      if (message) {
        reports.call(() => {
          try {
            return onMessage(message);
          } catch (error) {
            return failed(core, reports, error);
          }
        });
      }
    }
    core.finish();
  };
  core.buffer.whenFilled = () => {
    if (!requested && core.buffer.size) {
      requested = true;
      nextFrame(clock, frame);
    }
    if (core.buffer.error) {
      core.report(core.buffer.error); // it has ended, and no call waits for it
    }
  };
}

function nextFrame(clock: Clock, callback: () => void): void {
  if (typeof requestAnimationFrame === "function") {
    requestAnimationFrame(callback);
  } else {
    clock.after(FRAME_MS, callback);
  }
}
