// Numbers as text, with the significant digits only.

export const percent = (fraction, digits = 1) => `${(100 * fraction).toFixed(digits)}%`;
export const shortPercent = (fraction) => `${Number((100 * fraction).toFixed(2))}%`; // 99%, 99.5%
export const count = (number) => number.toLocaleString("en");

/** Format a probability to 0.1%, never as 0% or 100%. */
export function probability(value) {
  if (value < 0.001) return "under 0.1%";
  return value > 0.999 ? "over 99.9%" : percent(value);
}

/** Format two different fractions with enough digits to differ. */
export function distinctPercents(first, second) {
  const digits = [1, 2, 3].find((n) => percent(first, n) !== percent(second, n)) ?? 4;
  return [percent(first, digits), percent(second, digits)];
}
