/** Page of one connection: its link in words and over time, and what an operator can order. */

import { useEffect, useState } from "preact/hooks";
import type { ConnectionData } from "../api/connections.ts";
import { usePolled } from "../api/poller.ts";
import { type Problem, problemIn } from "../api/problem.ts";
import { command } from "../api/requests.ts";
import { hashOf } from "../app/router.ts";
import { bytes, bytesPerS, percent, whole } from "../format/numbers.ts";
import { duration } from "../format/times.ts";
import { Chart } from "../parts/chart.tsx";
import { Confirm } from "../parts/dialog.tsx";
import { Badge, Figure } from "../parts/figure.tsx";
import { GatewayField } from "../parts/gateway_field.tsx";
import { Page, Section } from "../parts/page.tsx";
import { EmptyState, ProblemNote, Skeleton } from "../parts/states.tsx";

/** Samples of the charts: as long as the page is open, ten minutes at most. */
const SAMPLES = 300;

interface Sample {
  readonly atS: number;
  readonly connection: ConnectionData;
}

export function ConnectionPage({ peer }: { readonly peer: number }) {
  const { data, problem, atMs } = usePolled<{ readonly connections: readonly ConnectionData[] }>(
    `/api/v1/connections?after=${peer - 1}&limit=1`,
  );
  const [samples, setSamples] = useState<readonly Sample[]>([]);
  const connection = data?.connections.find((each) => each.peer === peer);
  useEffect(() => {
    if (connection) {
      const sample = { atS: Date.now() / 1000, connection };
      // A gateway that has started anew gives the same numbers to other clients.
      setSamples((before) =>
        [...before.filter((each) => each.connection.client_id === connection.client_id), sample].slice(-SAMPLES),
      );
    }
  }, [atMs]);
  if (!data) {
    return (
      <Page title={`Connection ${peer}`}>{problem ? <ProblemNote problem={problem} /> : <Skeleton lines={8} />}</Page>
    );
  }
  return connection ? (
    // The key closes a dialog that asks about another client.
    <Found key={connection.client_id} connection={connection} samples={samples} />
  ) : (
    <Gone name={`${peer}`} />
  );
}

function Found({ connection, samples }: { readonly connection: ConnectionData; readonly samples: readonly Sample[] }) {
  const { peer, address, age_s, client_id, client_type, agent, subprotocol, link, groups } = connection;
  const times = samples.map(({ atS }) => atS);
  return (
    <Page
      title={client_id}
      summary={
        <>
          <a href={hashOf(["connections"])}>Connections</a> · <Badge>{client_type.replace("_", " ")}</Badge>{" "}
          <span class="mono">{agent}</span> over {subprotocol}
          {address && ` from ${address}`}, for {duration(age_s)}, number {peer}
          {groups.length > 0 && `, in ${groups.join(", ")}`}
        </>
      }
      actions={<Actions connection={connection} />}
    >
      <div class="figures">
        <Figure
          label="Score of the link"
          value={link.score.toFixed(2)}
          note={`tier ${link.tier.toLowerCase().replaceAll("_", " ")}`}
        />
        <Figure label="Round trip" value={duration(link.rtt_s)} note={`varies by ${duration(link.jitter_s)}`} />
        <Figure
          label="Goodput"
          value={bytesPerS(link.goodput_bytes_per_s)}
          note={`queue delay ${duration(link.queue_delay_s)}`}
        />
        <Figure
          label="Waits"
          value={bytes(connection.waiting_bytes)}
          note={connection.lagging ? "behind" : "keeps up"}
          tone={connection.lagging ? "warning" : "good"}
        />
        <Figure
          label="Subscriptions"
          value={whole(connection.subscriptions)}
          note={`publishes to ${whole(connection.aliases)}`}
        />
        <Figure
          label="Conflated"
          value={whole(connection.conflated + connection.client_conflated)}
          note={ofLate(link.conflated_share)}
        />
        <Figure label="Dropped" value={whole(connection.dropped)} note={ofLate(link.gap_share)} />
        <Figure label="Program behind by" value={duration(link.unread_s)} note={`${bytes(link.unread_bytes)} unread`} />
      </div>
      <div class="charts">
        <Chart
          title="Round trip"
          times={times}
          format={duration}
          series={[{ label: "smoothed", values: samples.map((sample) => sample.connection.link.rtt_s) }]}
        />
        <Chart
          title="Queue"
          times={times}
          format={bytes}
          series={[{ label: "waits", values: samples.map((sample) => sample.connection.waiting_bytes) }]}
        />
      </div>
      {link.behind.length > 0 && (
        <Section title="Streams in which its program is behind">
          <ul>
            {link.behind.map(({ stream, behind }) => (
              <li key={stream}>
                <a class="mono" href={hashOf(["streams", ...stream.split("/")])}>
                  {stream}
                </a>{" "}
                by {whole(behind)} messages
              </li>
            ))}
          </ul>
        </Section>
      )}
    </Page>
  );
}

type Order = "move" | "disconnect";

function Actions({ connection: { peer, client_id } }: { readonly connection: ConnectionData }) {
  const [asked, setAsked] = useState<Order>();
  const [address, setAddress] = useState("");
  const [pong, setPong] = useState<string>();
  const [problem, setProblem] = useState<Problem>();
  const path = `/api/v1/connections/${peer}`;
  const ping = async (): Promise<void> => {
    setPong("…");
    try {
      setPong(duration((await command<{ readonly rtt_s: number }>("POST", `${path}/ping`)).rtt_s));
      setProblem(undefined);
    } catch (error) {
      setPong(undefined);
      setProblem(problemIn(error));
    }
  };
  return (
    <>
      {problem && <ProblemNote problem={problem} />}
      <button type="button" class="button" onClick={() => void ping()}>
        Ping {pong && <b>{pong}</b>}
      </button>
      <button type="button" class="button" onClick={() => setAsked("move")}>
        Move…
      </button>
      <button type="button" class="button" onClick={() => setAsked("disconnect")}>
        Disconnect…
      </button>
      {asked === "move" && (
        <Confirm
          title={`Move ${client_id}?`}
          action="Move the client"
          onConfirm={() => command("POST", `${path}/move`, address ? { address } : {})}
          onClose={() => setAsked(undefined)}
        >
          <p>The client finishes its work within 10 s, and connects again: to this gateway, or to another one.</p>
          <GatewayField label="Address of the other gateway" value={address} onInput={setAddress} />
        </Confirm>
      )}
      {asked === "disconnect" && (
        <Confirm
          title={`Disconnect ${client_id}?`}
          action="Disconnect the client"
          onConfirm={() => command("POST", `${path}/disconnect`)}
          onClose={() => setAsked(undefined)}
        >
          <p>
            The connection is closed at once. A client of an SDK comes back by itself, and goes on where it was; what it
            has not acknowledged comes again.
          </p>
        </Confirm>
      )}
    </>
  );
}

/** Page in the place of a connection that is not there; its name is the number, or what stands for it in the address. */
export function Gone({ name }: { readonly name: string }) {
  return (
    <Page title={`Connection ${name}`}>
      <EmptyState title="This connection is gone">
        <p>
          Its client has left, or has come back by another connection.{" "}
          <a href={hashOf(["connections"])}>Go to all connections.</a>
        </p>
      </EmptyState>
    </Page>
  );
}

/** Return the share of messages that were left out lately, in words. */
function ofLate(share: number | null): string {
  return share === null ? "not measured while it keeps up" : `${percent(share)} of the last`;
}
