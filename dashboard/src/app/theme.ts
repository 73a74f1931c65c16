/** Theme: light, dark, or as the system has it; kept by the browser. */

import { computed, effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

const KEY = "frys.theme";
const THEMES: readonly Theme[] = ["system", "light", "dark"];
const systemIsDark = signal(false);

export const theme = signal<Theme>("system");
/** Whether the page is dark now: charts are drawn anew when this changes. */
export const isDark = computed(() => theme.value === "dark" || (theme.value === "system" && systemIsDark.value));

/** Follow the system and the choice that the browser has kept. */
export function startTheme(): void {
  const wanted = matchMedia("(prefers-color-scheme: dark)");
  systemIsDark.value = wanted.matches;
  wanted.addEventListener("change", ({ matches }) => {
    systemIsDark.value = matches;
  });
  const kept = read();
  theme.value = THEMES.find((each) => each === kept) ?? "system";
  effect(() => {
    document.documentElement.dataset.theme = isDark.value ? "dark" : "light";
  });
}

/** Choose the next theme in turn. */
export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length];
  try {
    localStorage.setItem(KEY, theme.value);
  } catch {
    // A browser that keeps nothing asks again at the next visit.
  }
}

function read(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}
