/** Files that Python wrote are read as the format says. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { fromBase64, readChunks, readHeader } from "../src/format";
import { readTrace } from "../src/trace";
import { Cursor, decodeVarints, Words } from "../src/varints";

const GOLDEN = new URL("../../tests/trace/golden/columns.snug", import.meta.url);

function golden(): Uint8Array {
  return new Uint8Array(readFileSync(GOLDEN));
}

test("numbers of one byte to ten", () => {
  const data = Uint8Array.from([5, 0x80, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, ...Array<number>(9).fill(0xff), 1]);
  const found = new Float64Array(4);
  decodeVarints(data, 4, found);
  expect([...found]).toEqual([5, 128, 2 ** 32 - 1, 2 ** 64]);
  const words = new Words(4);
  words.decode(data, 4);
  expect([...words.low].map((low) => low >>> 0)).toEqual([5, 128, 0xffffffff, 0xffffffff]);
  expect([...words.high].map((high) => high >>> 0)).toEqual([0, 0, 0, 0xffffffff]);
  const cursor = new Cursor(data);
  expect([cursor.number(), cursor.number(), cursor.number(), cursor.word()]).toEqual([
    5,
    128,
    2 ** 32 - 1,
    2n ** 64n - 1n,
  ]);
  expect(() => cursor.number()).toThrow("truncated");
});

test.each([1, 3])("too few or too many numbers are noticed: %i", (count) => {
  expect(() => decodeVarints(Uint8Array.from([1, 2]), count, new Float64Array(4))).toThrow("as many");
});

test("base64 of any length", () => {
  for (let length = 0; length < 20; length++) {
    const bytes = Uint8Array.from({ length }, (_, at) => (at * 77) & 0xff);
    expect([...fromBase64(Buffer.from(bytes).toString("base64"))]).toEqual([...bytes]);
  }
});

test("a file of the first version", async () => {
  const trace = await readTrace(golden());
  const { events, blocks } = trace;
  expect(trace.damage).toBeNull();
  expect([...trace.operation]).toEqual([23, 1, 2, 3, 4, 5, 5, 0x81, 17]);
  expect([...trace.thread]).toEqual([0, 0, 1, 1, 0, 0, 0, 1, 1]);
  expect(trace.threadNumbers).toEqual([1, 2]);
  expect([...trace.time]).toEqual([0, 10, 20, 25, 26, 30, 31, 40, 50]);
  expect([...trace.given]).toEqual([-1, 0, 1, 2, 3, -1, -1, -1, -1]);
  expect([...trace.freed]).toEqual([-1, -1, -1, 0, -1, 1, -1, -1, -1]);
  expect([events, blocks]).toEqual([9, 4]);
  expect([...trace.size.slice(0, blocks)]).toEqual([100, 4000, 300, 64]);
  expect([...trace.address.slice(0, blocks)]).toEqual([0x5000, 0x6000, 0x7010, 0x7040]);
  expect([...trace.born.slice(0, blocks)]).toEqual([1, 2, 3, 4]);
  expect(trace.tables.framesOf(trace.stack[0]!)).toEqual(["f (a.py:1)", "c0ffee+0x10"]);
  expect(trace.others).toEqual([
    { event: 0, operation: 23, address: 0, size: 0, number: 77 },
    { event: 7, operation: 0x81, address: 0, size: 2 ** 63, number: 0 },
    { event: 8, operation: 17, address: 0x8000, size: 8192, number: 0 },
  ]);
  expect(trace.threadLabel(0)).toBe("thread 77");
});

test("a file that ends early is read up to there", async () => {
  const file = golden();
  const chunks = [...readChunks(file, readHeader(file).size)];
  expect([...readChunks(file.subarray(0, -100), 64)].length).toBeLessThanOrEqual(chunks.length);
  const last = chunks.findLast((chunk) => chunk.kind === 1)!;
  last.stored.fill(0xff);
  const trace = await readTrace(file);
  expect(trace.damage).toContain("cannot be read");
});

test("what is no trace is refused", async () => {
  await expect(readTrace(new Uint8Array(100))).rejects.toThrow("not a .snug trace");
});
