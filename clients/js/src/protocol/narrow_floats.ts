/** Floats of 16 bits, which not every engine has arrays of, as floats of 32 bits, which hold each of them exactly. */

/** Powers of two by the exponent of a float16, for mantissas of 11 bits. */
const POWERS = Float64Array.from({ length: 32 }, (_, exponent) => 2 ** (Math.max(exponent, 1) - 25));

/** Return the number that the bits of a float16 stand for. */
export function float16Of(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) {
    return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  }
  return sign * POWERS[exponent] * (exponent ? fraction | 0x400 : fraction);
}

/** Return the numbers that the bits of float16 stand for, as a copy. */
export function fromFloat16(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const numbers = new Float32Array(bits.length);
  for (let index = 0; index < bits.length; index++) {
    numbers[index] = float16Of(bits[index]);
  }
  return numbers;
}

/** Return the numbers that the bits of bfloat16 stand for, as a copy: they are the upper half of a float32. */
export function fromBfloat16(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(bits.length);
  for (let index = 0; index < bits.length; index++) {
    words[index] = bits[index] << 16;
  }
  return new Float32Array(words.buffer);
}
