/** Control: commands to agents, the log, and the orderly end of the gateway. */

import { useState } from "preact/hooks";
import type { Route } from "../app/router.ts";
import { Page, Section } from "../parts/page.tsx";
import { EmptyState } from "../parts/states.tsx";
import { CommandForm } from "./command_form.tsx";
import { CommandList } from "./command_list.tsx";
import { type Draft, EMPTY_DRAFT } from "./draft.ts";
import { DrainButton, DrainProgress } from "./drain.tsx";
import { Log } from "./log.tsx";

export function Control({ route }: { readonly route: Route }) {
  const [draft, setDraft] = useState<Draft>({ ...EMPTY_DRAFT, stream: route.query.stream ?? "" });
  return (
    <Page title="Control" actions={<DrainButton />}>
      <DrainProgress />
      <div class="control-commands">
        <CommandForm draft={draft} onDraft={setDraft} />
        <CommandList onAgain={setDraft} />
      </div>
      <Log query={route.query} />
      <Section title="Audit trail">
        <EmptyState title="There is no audit trail yet">
          <p>
            It will tell who has ordered what. For that clients have to say who they are, and this version of the
            gateway accepts everyone. A drain is in the log, with the address from which it was asked for.
          </p>
        </EmptyState>
      </Section>
    </Page>
  );
}
