/** Banner above every view: the gateway cannot be reached, is stopping, or has become another version. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { nextTryMs, reachable, usePolled } from "../api/poller.ts";
import type { SummaryData } from "../api/summary.ts";
import { Icon } from "../parts/icon.tsx";
import { TokenForm } from "./token_form.tsx";

const UNAUTHORIZED = 401;

export function Banner() {
  const { data, problem } = usePolled<SummaryData>("/api/v1/summary");
  const first = useRef<string>(undefined);
  first.current ??= data?.version;
  if (!reachable.value) {
    return <Lost />;
  }
  if (problem?.status === UNAUTHORIZED) {
    return <TokenForm words={problem.message} />;
  }
  if (data && data.version !== first.current) {
    return (
      <Line>
        The gateway runs version {data.version} now, and this page is of {first.current}.{" "}
        <button type="button" class="button" onClick={() => location.reload()}>
          Load the page again
        </button>
      </Line>
    );
  }
  return data?.draining ? <Line>The gateway is stopping: clients are being told to go.</Line> : null;
}

function Lost() {
  const [leftS, setLeftS] = useState(0);
  useEffect(() => {
    const count = (): void => setLeftS(Math.max(0, Math.ceil((nextTryMs.value - performance.now()) / 1000)));
    count();
    const timer = setInterval(count, 500);
    return () => clearInterval(timer);
  }, []);
  return (
    <Line>
      The gateway cannot be reached. What you see is from before.{" "}
      {leftS > 0 ? `Trying again in ${leftS} s.` : "Trying again now."}
    </Line>
  );
}

function Line({ children }: { readonly children: ComponentChildren }) {
  return (
    <div class="banner" role="status">
      <Icon name="warning" />
      <span>{children}</span>
    </div>
  );
}
