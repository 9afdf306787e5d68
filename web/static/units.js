// Sizes, rates and times as people write them, and rates read back.

const UNITS = ["kB", "MB", "GB", "TB", "PB", "EB"];
const FACTORS = { "": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12, ki: 2 ** 10, mi: 2 ** 20, gi: 2 ** 30, ti: 2 ** 40 };
const RATE = /^(\d{1,15}(?:\.\d{1,15})?)\s*([kmgt]i?|)b?(?:\/s)?$/i;

export function size(number) {
  if (number < 1000) return `${Math.round(number)}\u00a0B`;
  let value = number / 1000;
  let unit = 0;
  for (; value >= 999.5 && unit < UNITS.length - 1; unit += 1) value /= 1000;
  return `${value < 9.95 ? value.toFixed(1).replace(/\.0$/, "") : Math.round(value)}\u00a0${UNITS[unit]}`;
}

export function rate(number) {
  return `${size(number)}/s`;
}

// The two largest units.
export function duration(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  const parts = [[Math.floor(whole / 86400), "d"], [Math.floor(whole / 3600) % 24, "h"], [Math.floor(whole / 60) % 60, "min"], [whole % 60, "s"]];
  const first = parts.findIndex(([number]) => number > 0);
  return parts.slice(first, first + 2).filter(([number]) => number > 0).map(([number, unit]) => `${number}\u00a0${unit}`).join(" ");
}

// A rate so that it can be read back without loss.
export function writtenRate(number) {
  for (const [factor, unit] of [[1e9, "GB/s"], [1e6, "MB/s"], [1e3, "kB/s"]]) {
    if (number >= factor && number % (factor / 10) === 0) return `${number / factor} ${unit}`;
  }
  for (const [factor, unit] of [[2 ** 30, "GiB/s"], [2 ** 20, "MiB/s"], [2 ** 10, "KiB/s"]]) {
    if (number >= factor && number % (factor / 2) === 0) return `${number / factor} ${unit}`;
  }
  return String(number);
}

// Bytes a second; null for what cannot be read.
export function readRate(text) {
  const found = RATE.exec(text.trim() || "0");
  if (!found) return null;
  return Math.round(Number(found[1]) * FACTORS[found[2].toLowerCase()]);
}

export function plural(number, noun) {
  return `${number.toLocaleString("en")}\u00a0${noun}${number === 1 ? "" : "s"}`;
}
