/** Numbers rounded to floats of 16 bits, which not every engine does. */

/** Return the bits of numbers as float16, each rounded once, to even bits from the middle. */
export function toFloat16(numbers: Float64Array): Uint16Array<ArrayBuffer> {
  return Uint16Array.from(numbers, float16BitsOf);
}

function float16BitsOf(number: number): number {
  const sign = number < 0 || Object.is(number, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(number);
  if (!(magnitude < 65520)) {
    return Number.isNaN(number) ? 0x7e00 : sign | 0x7c00;
  }
  // Adding a power of two leaves the bits that float16 has room for: float64 rounds the rest off.
  const power = 2 ** Math.max(-14, Math.floor(Math.log2(magnitude)));
  const shift = power * 2 ** 42;
  const rounded = magnitude + shift - shift;
  // One unit more in the fraction than there is room for is the next exponent.
  const exponent = Math.log2(power) + 14;
  return sign | (exponent * 0x400 + rounded / (power / 0x400));
}

/** Return the bits of numbers as bfloat16: rounded to float32, and to even bits from the middle. */
export function toBfloat16(numbers: Float64Array): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(Float32Array.from(numbers).buffer);
  return Uint16Array.from(words, (word) =>
    (word & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16,
  );
}
