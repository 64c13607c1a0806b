// Numbers in words: no more digits than are known, or than it takes.

export const percent = (part, digits = 1) => `${(100 * part).toFixed(digits)}%`;
export const short = (part) => `${Number((100 * part).toFixed(2))}%`; // 99%, 99.5%
export const count = (number) => number.toLocaleString("en");

/** A probability to 0.1%; none is called impossible or certain. */
export function probability(part) {
  if (part < 0.001) return "under 0.1%";
  return part > 0.999 ? "over 99.9%" : percent(part);
}

/** Two different parts with as many digits as it takes to tell them apart. */
export function apart(one, other) {
  const digits = [1, 2, 3].find((some) => percent(one, some) !== percent(other, some)) ?? 4;
  return [percent(one, digits), percent(other, digits)];
}
