/** Drain: the orderly end of the gateway, asked for and watched. */

import { useRef, useState } from "preact/hooks";
import { pollerOf, reachable, usePolled } from "../api/poller.ts";
import { command } from "../api/requests.ts";
import { counted, whole } from "../format/numbers.ts";
import { duration } from "../format/times.ts";
import { Confirm } from "../parts/dialog.tsx";
import { GatewayField } from "../parts/gateway_field.tsx";
import { Icon } from "../parts/icon.tsx";

const PATH = "/api/v1/drain";
const INTERVAL_MS = 1000;

/** Progress, as `GET /api/v1/drain` tells it. */
export interface DrainData {
  readonly draining: boolean;
  readonly connections: number;
  /** Clients that have not been told yet. */
  readonly untold: number;
  readonly left_s: number | null;
}

export function DrainButton() {
  const { data } = usePolled<DrainData>(PATH, INTERVAL_MS);
  const [isAsked, setAsked] = useState(false);
  const [address, setAddress] = useState("");
  const drain = async (): Promise<void> => {
    await command("POST", PATH, address.trim() ? { address: address.trim() } : {});
    await pollerOf(PATH, INTERVAL_MS).poll();
  };
  return (
    <>
      <button type="button" class="button" disabled={data?.draining ?? true} onClick={() => setAsked(true)}>
        Drain…
      </button>
      {isAsked && (
        <Confirm
          title="Drain this gateway?"
          action="Stop the gateway"
          onConfirm={drain}
          onClose={() => setAsked(false)}
        >
          <p>
            The gateway tells its {counted(data?.connections ?? 0, "client")} to finish and to connect elsewhere. Then
            it ends, and this page with it. It cannot be taken back.
          </p>
          <GatewayField
            label="Address of another gateway for its clients; without one they try the addresses that they know"
            value={address}
            onInput={setAddress}
          />
        </Confirm>
      )}
    </>
  );
}

export function DrainProgress() {
  const { data } = usePolled<DrainData>(PATH, INTERVAL_MS);
  const most = useRef(0);
  if (!data?.draining) {
    return null;
  }
  most.current = Math.max(most.current, data.connections);
  const { connections } = data;
  return (
    <div class="drain" role="status">
      <Icon name="info" />
      <span>{reachable.value ? progressText(data) : "The gateway has ended."}</span>
      {reachable.value && (
        <progress
          max={Math.max(1, most.current)}
          value={most.current - connections}
          aria-label="Clients that have gone"
        />
      )}
    </div>
  );
}

/** Return the progress in words. */
export function progressText({ connections, untold, left_s }: DrainData): string {
  const told = untold ? `, ${whole(untold)} of them not told yet` : "";
  const end = left_s === null ? "" : ` The gateway ends in ${duration(Math.ceil(left_s))} at the latest.`;
  return connections
    ? `${counted(connections, "client")} still connected${told}.${end}`
    : `No client is connected any more.${end}`;
}
