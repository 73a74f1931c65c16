/** Icons, drawn by strokes on 16 × 16. */

const PATHS = {
  overview: "M2 13h12M4 10V7M8 10V3M12 10V5",
  streams: "M2 5c3-3 5 3 8 0s4 0 4 0M2 9c3-3 5 3 8 0s4 0 4 0M2 13c3-3 5 3 8 0s4 0 4 0",
  connections: "M5 3v4a3 3 0 0 0 6 0V3M5 1v2M11 1v2M8 10v5",
  collaboration:
    "M4 4.5h0M12 4.5h0M8 12h0M4 4.5 8 12l4-7.5zM2.5 4.5a1.5 1.5 0 1 0 3 0 1.5 1.5 0 1 0-3 0M10.5 4.5a1.5 1.5 0 1 0 3 0 1.5 1.5 0 1 0-3 0M6.5 12a1.5 1.5 0 1 0 3 0 1.5 1.5 0 1 0-3 0",
  optimizer: "M2 12 6 7l3 3 5-7M10 3h4v4",
  tasks: "M2 4l1.5 1.5L6 3M2 11l1.5 1.5L6 10M8.5 4.5H14M8.5 11.5H14",
  control: "M3 4h10M3 8h10M3 12h10M6 2.5v3M10 6.5v3M5 10.5v3",
  menu: "M2 4h12M2 8h12M2 12h12",
  close: "M3 3l10 10M13 3 3 13",
  copy: "M5 5h8v9H5zM3 11V2h8",
  check: "M2.5 8.5 6 12l7.5-8",
  warning: "M8 2 1.5 14h13zM8 6v4M8 12v.2",
  error: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 1 0 0-13zM8 4.5v4M8 11v.2",
  info: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 1 0 0-13zM8 7.5V12M8 4.5v.2",
  sun: "M8 5a3 3 0 1 0 0 6 3 3 0 1 0 0-6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1",
  moon: "M13 9.5A5.5 5.5 0 1 1 6.5 3a4.5 4.5 0 0 0 6.5 6.5z",
  system: "M2 3h12v8H2zM6 14h4M8 11v3",
  down: "M4 6l4 4 4-4",
  up: "M4 10l4-4 4 4",
  next: "M6 3l5 5-5 5",
} as const;

export type IconName = keyof typeof PATHS;

/** Icon beside a text that says the same; alone it needs a label on what holds it. */
export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
