import { Tensor } from "@frys/client";
import { expect, test } from "vitest";
import { npyFile } from "../../../src/viewer/numbers/npy_file.ts";

test("the header ends at a multiple of 64 bytes, and names dtype and shape", () => {
  const [head, body] = npyFile(Tensor.from(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]));
  const text = String.fromCharCode(...head);
  expect(head.length % 64).toBe(0);
  expect(text.slice(1, 6)).toBe("NUMPY");
  expect(head[8] + 256 * head[9]).toBe(head.length - 10);
  expect(text).toContain("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }");
  expect(text.endsWith("\n")).toBe(true);
  expect(body.length).toBe(24);
});

test("one dimension has a comma, none has nothing", () => {
  const textOf = (tensor: Tensor): string => String.fromCharCode(...npyFile(tensor)[0]);
  expect(textOf(Tensor.from(Int8Array.of(1, 2)))).toContain("'shape': (2,)");
  expect(textOf(Tensor.from(Float64Array.of(1), []))).toContain("'shape': ()");
});
