// Numbers in words: as they are read, not as they are stored.

// Four digits; what does not exist is null.
export function short(x, digits = 4) {
  if (x === null || x === undefined) return "undefined";
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size >= 1e6 || size < 1e-3) return x.toExponential(digits - 2).replace(/\.?0*e\+?/, "e");
  return String(Number(x.toPrecision(digits)));
}

// Three digits, for what a slider sets.
export const rounded = (x) => Number(x.toPrecision(3));

export const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
