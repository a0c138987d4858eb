/** Histograms, the pin ledger, the flame graph, and what is said of a place. */
import { expect, test } from "vitest";
import { flameGraph, stacksWithin, WITHOUT_STACK } from "../src/flame";
import { Heap } from "../src/heap";
import { histograms } from "../src/histograms";
import { blocksOfLine, pinLedger } from "../src/ledger";
import { lookAt } from "../src/look";
import { Slots } from "../src/space";
import { traceOf } from "./made";
import type { Call } from "./made";

function heapOf(calls: readonly Call[]): Heap {
  const trace = traceOf(calls);
  return new Heap(trace, new Slots(trace));
}

test("sizes and gaps by powers of two", () => {
  const heap = heapOf([
    { at: 0, size: 16 },
    { at: 16, size: 31 },
    { at: 64, size: 100 },
    { at: 1 << 20, size: 5 },
    { at: (1 << 20) + 4096, size: 5 },
  ]);
  expect(histograms(heap)).toEqual({
    blocks: [
      { least: 4, count: 2, bytes: 10 },
      { least: 16, count: 2, bytes: 47 },
      { least: 64, count: 1, bytes: 100 },
    ],
    gaps: [
      { least: 16, count: 1, bytes: 17 },
      { least: 2048, count: 1, bytes: 4091 },
    ],
  });
});

test("the ledger shares out what is free on pages that are mostly free", () => {
  const heap = heapOf([
    { at: 0, size: 96 }, // with the next one on a page of which 3900 bytes are free
    { at: 1000, size: 100 },
    { at: 4096, size: 3000 }, // fills more than half of its page
    { at: 8192, size: 4096 + 96 }, // one page wholly, and 96 bytes of the next
  ]);
  const bySize = {
    keyOf: (block: number) => heap.trace.size[block]!,
    labelOf: (size: number) => `${size}`,
  };
  expect(pinLedger(heap, bySize)).toEqual({
    page: 4096,
    pages: 2,
    held: 3900 + 4000,
    lines: [
      { key: 4192, label: "4192", blocks: 1, bytes: 4192, held: 4000 },
      { key: 96, label: "96", blocks: 1, bytes: 96, held: 1950 },
      { key: 100, label: "100", blocks: 1, bytes: 100, held: 1950 },
    ],
  });
  expect(blocksOfLine(heap, bySize, 100)).toEqual([[1000, 100]]);
});

test("the ledger has the pages of the recorded system", () => {
  const trace = traceOf([
    { at: 0, size: 5000 },
    { at: 16384, size: 9000 },
    { at: 3 * 16384 - 100, size: 0 },
  ]);
  Object.assign(trace.header, { pageSize: 16384 });
  const heap = new Heap(trace, new Slots(trace));
  const all = { keyOf: () => 0, labelOf: () => "all" };
  expect(pinLedger(heap, all)).toMatchObject({ page: 16384, pages: 2, held: 16384 - 5000 + 16384 - 1 });
});

test("no two parts of the space have the same page", () => {
  const trace = traceOf([
    { at: 65536 + 100, size: 16 },
    { at: 3 * 65536 + 50, size: 16 },
  ]);
  Object.assign(trace.header, { pageSize: 65536 });
  expect(new Slots(trace).space.parts).toMatchObject([{ length: 3 * 65536 }]);
  Object.assign(trace.header, { pageSize: 4096 });
  expect(new Slots(trace).space.parts).toMatchObject([{ length: 4096 }, { offset: 4096, length: 4096 }]);
});

test("stacks are added up, callers with what they call", () => {
  const heap = heapOf([
    { at: 0, size: 100 },
    { at: 128, size: 50 },
    { at: 256, size: 25 },
    { frees: 2 },
    { at: 256, size: 50 },
  ]);
  const { trace } = heap;
  const { tables } = trace;
  for (const label of ["main", "load", "store"]) tables.frames.push({ label, isSource: true });
  tables.callers.push(0, 1, 1);
  tables.frameOf.push(1, 2, 3); // main; main > load; main > store
  trace.stack.set([2, 3, 2, 0]);
  expect(
    flameGraph(heap).map(({ label, depth, from, share, bytes }) => [label, depth, from, share, bytes]),
  ).toEqual([
    ["all that is live", 0, 0, 1, 200],
    ["main", 1, 0, 0.75, 150],
    ["load", 2, 0, 0.5, 100],
    ["store", 2, 0.5, 0.25, 50],
    ["without a stack", 1, 0.75, 0.25, 50],
  ]);
  expect(flameGraph(heap, 2).map(({ label, depth, share, blocks }) => [label, depth, share, blocks])).toEqual([
    ["all that is live", 0, 1, 3],
    ["main", 1, 1, 2],
    ["load", 2, 1, 1],
  ]);
  expect(flameGraph(heap, WITHOUT_STACK).map(({ label, bytes }) => [label, bytes])).toEqual([
    ["all that is live", 200],
    ["without a stack", 50],
  ]);
});

test("the stacks within a frame are those that it called", () => {
  const { tables } = traceOf([]);
  tables.callers.push(0, 1, 2, 1, 0); // 1; 1 > 2; 1 > 2 > 3; 1 > 4; 5
  tables.frameOf.push(1, 1, 1, 1, 1);
  expect(stacksWithin(tables, 0)).toBeNull();
  expect([...stacksWithin(tables, 2)!]).toEqual([0, 0, 1, 1, 0, 0]);
  expect([...stacksWithin(tables, 1)!]).toEqual([0, 1, 1, 1, 1, 0]);
  expect([...stacksWithin(tables, WITHOUT_STACK)!]).toEqual([1, 0, 0, 0, 0, 0]);
});

test("a place is in a block, or in a gap that has neighbours and a history", () => {
  const heap = heapOf([
    { at: 0, size: 64, thread: 1 },
    { at: 64, size: 64, thread: 2 },
    { at: 160, size: 16 },
    { frees: 1, thread: 3 },
  ]);
  heap.seek(3);
  expect(lookAt(heap, 70)).toMatchObject({
    state: "live",
    offset: 64,
    size: 64,
    thread: "thread 2",
    born: 2,
    died: null,
    before: { offset: 0, size: 64, gap: 0 },
    after: { offset: 160, size: 16, gap: 32 },
  });
  heap.seek(4);
  expect(lookAt(heap, 70)).toMatchObject({
    state: "free",
    offset: 64,
    size: 96,
    blockSize: 64,
    born: 2,
    died: 4,
    freedThread: "thread 3",
    before: { offset: 0 },
    after: { offset: 160, gap: 0 },
  });
  expect(lookAt(heap, 140)).toMatchObject({ state: "never used", offset: 64, size: 96, block: -1 });
  expect(lookAt(heap, 1000)).toMatchObject({
    state: "never used",
    offset: 176,
    before: { offset: 160 },
    after: null,
  });
});
