/** Where cells are on the screen. */
import { expect, test } from "vitest";
import { placeAt, shapesOf, viewAt, wholeView, zoomedCell, zoomedView } from "../src/geometry";

const BOX = { width: 800, height: 400 };

test.each([1, 4096, 100_000, 400_000, 1_500_000, 12_500_000, 2 ** 33, 2 ** 45])(
  "the whole of %i bytes is in view",
  (space) => {
    const view = wholeView(BOX, space);
    expect(view.start).toBe(0);
    expect(view.columns * view.rows * view.cell).toBeGreaterThanOrEqual(space);
    expect(view.columns * view.edge).toBeLessThanOrEqual(BOX.width);
    expect(view.rows * view.edge).toBeLessThanOrEqual(BOX.height);
    const smaller = viewAt(BOX, space, 0, view.cell > 16 ? view.cell - 16 : view.cell / 2);
    if (view.cell > 1) expect(smaller.columns * smaller.rows * smaller.cell).toBeLessThan(space);
  },
);

test("zooming keeps the place under the pointer", () => {
  const space = 12_500_000;
  let view = wholeView(BOX, space);
  const offset = placeAt(view, 400, 200);
  while (view.cell > 1) {
    view = zoomedView(BOX, space, view, zoomedCell(view.cell, true), offset);
    expect(offset).toBeGreaterThanOrEqual(view.start);
    expect(offset).toBeLessThan(view.start + view.cell * view.columns * view.rows);
    const down = Math.floor((offset - view.start) / view.cell / view.columns) / view.rows;
    expect(Math.abs(down - 0.5)).toBeLessThan(3 / view.rows);
  }
});

test("in and out again comes back to the whole", () => {
  const { cell } = wholeView(BOX, 12_500_000);
  let at = cell;
  for (let step = 0; step < 30; step++) at = zoomedCell(at, true);
  expect(at).toBe(1);
  for (let step = 0; step < 40 && at < cell; step++) at = zoomedCell(at, false);
  expect(at).toBeGreaterThanOrEqual(cell);
});

test("a view stays within the space", () => {
  const view = viewAt(BOX, 1 << 20, 1 << 30, 64);
  expect(view.start).toBeLessThan(1 << 20);
  expect(viewAt(BOX, 1 << 20, -100, 64).start).toBe(0);
  expect(viewAt(BOX, 1000, 500, 64).start).toBe(0);
});

test("the shapes of bytes in one row, over rows, at the ends of two rows, and outside", () => {
  const view = { start: 100, cell: 10, columns: 4, rows: 3, edge: 5 };
  const text = (offset: number, size: number) =>
    shapesOf(view, offset, size).map((corners) => corners.join(" "));
  expect(text(110, 20)).toEqual(["1,0 3,0 3,1 1,1"]);
  expect(text(120, 40)).toEqual(["2,0 4,0 4,1 2,1", "0,1 2,1 2,2 0,2"]);
  expect(text(110, 50)).toEqual(["1,0 4,0 4,1 2,1 2,2 0,2 0,1 1,1"]);
  expect(text(0, 50)).toEqual([]);
  expect(text(300, 50)).toEqual([]);
});
