/** Entry of the page. */

import { render } from "preact";
import { Shell } from "./app/shell.tsx";

const root = document.getElementById("root");
if (root) {
  render(<Shell />, root);
}
