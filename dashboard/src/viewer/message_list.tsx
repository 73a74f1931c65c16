/** List of messages, the newest first. */

import { exactClockTime } from "../format/times.ts";
import type { ListedMessage } from "./posts.ts";

export function MessageList({ messages }: { readonly messages: readonly ListedMessage[] }) {
  if (!messages.length) {
    return (
      <p class="viewer-quiet">
        No message yet. Those that are published from now on are listed here; they are observed, not taken from any
        worker.
      </p>
    );
  }
  return (
    <div class="viewer-messages">
      <table class="viewer-table">
        <thead>
          <tr>
            <th scope="col">Offset</th>
            <th scope="col">Published</th>
            <th scope="col">Headers</th>
            <th scope="col">Content</th>
          </tr>
        </thead>
        <tbody>
          {messages.map((message) => (
            <tr key={message.offset}>
              <td>{message.offset.toLocaleString("en")}</td>
              <td>{exactClockTime(message.timestampMs / 1000)}</td>
              <td>
                <code>{message.headers ?? "–"}</code>
              </td>
              <td>
                {message.tensors.map(({ facts, text }) => (
                  <div key={facts.name}>
                    <small>
                      {facts.name ? `${facts.name}: ` : ""}
                      {facts.dtype} [{facts.shape.join(", ")}]
                    </small>{" "}
                    <code>{text}</code>
                  </div>
                ))}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
