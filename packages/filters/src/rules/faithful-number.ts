/**
 * Whether a decimal number in text keeps its meaning when it becomes a double and is written again: a whole number all
 * of its digits, any other that it is not lost. 9007199254740993, 1e400 and 1e-400 do not; 0.1 and what programs print
 * with more digits than a double has do.
 */
export function isFaithfulNumber(text: string): boolean {
  const value = Number(text);
  if (!Number.isFinite(value)) return false;
  const meant = readDecimal(text);
  if (meant.digits === "") return true;
  if (meant.exponent < 0) return value !== 0;
  const held = readDecimal(String(value));
  return held.digits === meant.digits && held.exponent === meant.exponent;
}

/** Digits without zeros at the ends (none for zero), and the exponent of the last one. */
function readDecimal(text: string): { digits: string; exponent: number } {
  const [mantissa = "", exponent = "0"] = text.replace(/^-/, "").toLowerCase().split("e");
  const [whole = "", fraction = ""] = mantissa.split(".");
  const digits = (whole + fraction).replace(/^0+/, "");
  const length = lengthWithoutZeros(digits);
  return { digits: digits.slice(0, length), exponent: Number(exponent) - fraction.length + (digits.length - length) };
}

/** Not by an expression such as /0+$/, which takes quadratic time for many zeros in the middle. */
function lengthWithoutZeros(digits: string): number {
  let end = digits.length;
  while (digits.charAt(end - 1) === "0") end -= 1;
  return end;
}
