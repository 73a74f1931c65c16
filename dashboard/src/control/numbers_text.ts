/** Numbers as people write them: `1, 2, 3`, or lists in lists such as `[[1, 2], [3, 4]]`, which tell the shape. */

const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
} as const;

/** Dtypes of which numbers can be written by hand. */
export type WrittenDtype = keyof typeof ARRAYS;

export const WRITTEN_DTYPES = Object.keys(ARRAYS) as readonly WrittenDtype[];

export interface WrittenTensor {
  readonly dtype: WrittenDtype;
  readonly shape: readonly number[];
  readonly array: InstanceType<(typeof ARRAYS)[WrittenDtype]>;
}

/** Names that are no numbers for JavaScript. */
const NAMED: Readonly<Record<string, number>> = {
  nan: Number.NaN,
  inf: Number.POSITIVE_INFINITY,
  "-inf": Number.NEGATIVE_INFINITY,
  true: 1,
  false: 0,
};

/**
 * Return the tensor of a text.
 *
 * @param shapeText sizes such as `2, 3`; empty: the lists tell the shape.
 * @throws Error that says what is wrong with the text.
 */
export function tensorIn(text: string, dtype: WrittenDtype, shapeText = ""): WrittenTensor {
  const words: string[] = [];
  const written = shapeOf(text.match(/[[\]]|[^\s,;[\]]+/g) ?? [], words);
  const shape = shapeText.trim() ? sizesIn(shapeText) : written;
  const size = shape.reduce((product, length) => product * length, 1);
  if (size !== words.length) {
    throw new Error(`there are ${words.length} numbers, and the shape [${shape.join(", ")}] has ${size}`);
  }
  return { dtype, shape, array: arrayOf(words, dtype) };
}

/** Return the sizes in a text such as `2, 3` or `[2, 3]`. */
function sizesIn(text: string): readonly number[] {
  const words = text.replace(/^\s*\[|\]\s*$/g, "").match(/[^\s,]+/g) ?? [];
  const wrong = words.find((word) => !/^\d+$/.test(word));
  if (wrong !== undefined) {
    throw new Error(`${wrong} in the shape is no size: write whole numbers such as 2, 3`);
  }
  return words.map(Number);
}

/** Collect the numbers among tokens, and return the shape by their lists. */
function shapeOf(tokens: readonly string[], words: string[]): readonly number[] {
  if (!tokens.includes("[")) {
    if (tokens.includes("]")) {
      throw new Error("a list ends that has not begun: write [ before its numbers");
    }
    words.push(...tokens);
    return tokens.length === 1 ? [] : [tokens.length];
  }
  /** For each open list its number of items, and the shape that all of them have. */
  const open: { items: number; shape: readonly number[] | undefined }[] = [];
  let whole: readonly number[] | undefined;
  const take = (shape: readonly number[]): void => {
    const list = open.at(-1);
    if (!list) {
      if (whole) {
        throw new Error("there is more than one list: write [ before the first and ] behind the last");
      }
      whole = shape;
      return;
    }
    list.shape ??= shape;
    if (String(list.shape) !== String(shape) || list.shape.length !== shape.length) {
      throw new Error("the lists differ in length: a tensor has rows of one length");
    }
    list.items++;
  };
  for (const token of tokens) {
    if (token === "[") {
      open.push({ items: 0, shape: undefined });
    } else if (token === "]") {
      const list = open.pop();
      if (!list) {
        throw new Error("a list ends that has not begun: there is a ] too many");
      }
      take([list.items, ...(list.shape ?? [])]);
    } else {
      words.push(token);
      take([]);
    }
  }
  if (open.length || !whole) {
    throw new Error("a list does not end: there is a ] missing");
  }
  return whole;
}

function arrayOf(words: readonly string[], dtype: WrittenDtype): WrittenTensor["array"] {
  const array = new ARRAYS[dtype](words.length);
  words.forEach((word, index) => {
    const value = array instanceof BigInt64Array || array instanceof BigUint64Array ? integerOf(word) : numberOf(word);
    array[index] = value;
    if (!isKept(value, array[index], dtype)) {
      throw new Error(`${word} is no ${dtype}`);
    }
  });
  return array;
}

function integerOf(word: string): bigint {
  if (!/^[+-]?\d+$/.test(word)) {
    throw new Error(`${word} is no whole number`);
  }
  return BigInt(word.replace(/^\+/, ""));
}

function numberOf(word: string): number {
  const value = NAMED[word.toLowerCase().replace(/^\+/, "")] ?? Number(word);
  if (Number.isNaN(value) && word.toLowerCase() !== "nan") {
    throw new Error(`${word} is no number`);
  }
  return value;
}

/** Return whether an element is what was written; of floats it may be rounded, but not become infinite. */
function isKept(written: number | bigint, element: number | bigint, dtype: WrittenDtype): boolean {
  if (dtype === "bool") {
    return written === 0 || written === 1;
  }
  return dtype.startsWith("float") ? Number.isFinite(written) === Number.isFinite(element) : written === element;
}
