/** Owns the formatting of figures. */

const NUMBERS = new Intl.NumberFormat("en");
const ROUNDED = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const UNITS = ["KiB", "MiB", "GiB", "TiB"];

export function numberText(value: number): string {
  return NUMBERS.format(Math.round(value));
}

export function countText(count: number, noun: string): string {
  return `${numberText(count)} ${noun}${count === 1 ? "" : "s"}`;
}

export function bytesText(bytes: number): string {
  if (bytes < 1024) return countText(bytes, "byte");
  let [value, unit] = [bytes / 1024, 0];
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${ROUNDED.format(value)} ${UNITS[unit]}`;
}

/** Short, for axes: `512`, `64K`, `3M`. */
export function bytesMark(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < 4) {
    value /= 1024;
    unit++;
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)}${["", "K", "M", "G", "T"][unit]}`;
}

export function addressText(address: number): string {
  return `0x${address.toString(16)}`;
}

export function shareText(share: number): string {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}

export function secondsText(seconds: number): string {
  if (seconds >= 100) return `${numberText(seconds)} s`;
  if (seconds >= 1) return `${seconds.toFixed(2)} s`;
  if (seconds >= 1e-3) return `${(seconds * 1e3).toFixed(2)} ms`;
  return `${(seconds * 1e6).toFixed(1)} µs`;
}
