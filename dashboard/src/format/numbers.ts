/**
 * Numbers as people read them: three digits that say something, and a unit. Bytes are counted by thousands, as rates are: 1 MB is
 * 1,000,000 bytes.
 */

const PREFIXES = ["", "k", "M", "G", "T", "P"];

/** Absent number. */
export const NONE = "–";

/** Return three significant digits, without zeros that say nothing. */
export function digits(value: number): string {
  const size = Math.abs(value);
  const text = size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(2);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** Return a number with a prefix of its unit: `scaled(12345, "B")` is `12.3 kB`. */
export function scaled(value: number | null | undefined, unit = ""): string {
  if (value === null || value === undefined || Number.isNaN(value)) {
    return NONE;
  }
  if (!Number.isFinite(value)) {
    return value > 0 ? "∞" : "−∞";
  }
  let [rest, power] = [value, 0];
  while (Math.abs(rest) >= 999.5 && power < PREFIXES.length - 1) {
    rest /= 1000;
    power++;
  }
  // Without a prefix and below a tenth nothing but zeros would be left.
  const text =
    power === 0 && rest !== 0 && Math.abs(rest) < 0.1 ? Number(rest.toPrecision(2)).toString() : digits(rest);
  const suffix = `${PREFIXES[power]}${unit}`;
  return `${text.replace("-", "−")}${suffix && ` ${suffix}`}`;
}

export function bytes(value: number | null | undefined): string {
  return scaled(value, "B");
}

export function bytesPerS(value: number | null | undefined): string {
  return scaled(value, "B/s");
}

export function perS(value: number | null | undefined): string {
  return scaled(value, "/s");
}

/** Return a whole number with separators. */
export function whole(value: number | null | undefined): string {
  return value === null || value === undefined ? NONE : Math.round(value).toLocaleString("en");
}

export function percent(value: number | null | undefined): string {
  return value === null || value === undefined ? NONE : `${digits(100 * value)} %`;
}

/** Return a number with its noun: `1 stream`, `2,000 streams`. */
export function counted(count: number, noun: string): string {
  return `${whole(count)} ${noun}${count === 1 ? "" : "s"}`;
}
