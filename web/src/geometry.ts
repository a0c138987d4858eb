/** Owns how the map lies on the screen: how large cells are drawn, how far one zooms, which cell is where. */
import type { View } from "./painter";

export interface Box {
  /** In CSS pixels. */
  readonly width: number;
  readonly height: number;
}

const UNIT = 16;
/** Up to so many bytes a cell is drawn with so many CSS pixels. */
const PIXELS: readonly (readonly [number, number])[] = [
  [4, 20],
  [8, 14],
  [16, 12],
  [32, 8],
  [48, 6],
  [64, 5],
  [96, 4],
];
const LEAST_PIXELS = 3;
const MOST_PIXELS = 20;
/** The smallest cell with so many. */
const LEAST_LARGE = 112;

/** CSS pixels of a cell's edge, if there is no reason for more. */
export function pixelsOf(cell: number): number {
  return PIXELS.find(([most]) => cell <= most)?.[1] ?? LEAST_PIXELS;
}

/** A view of cells of so many bytes that begins at a place, as far as the space allows. */
export function viewAt(box: Box, space: number, start: number, cell: number, edge = pixelsOf(cell)): View {
  const columns = Math.max(1, Math.floor(box.width / edge));
  const rows = Math.max(1, Math.floor(box.height / edge));
  const most = Math.max(0, Math.ceil(space / cell) * cell - columns * rows * cell);
  const clamped = Math.max(0, Math.min(most + columns * cell, start));
  return { start: most ? Math.floor(clamped / cell) * cell : 0, cell, columns, rows, edge };
}

/** The view of the whole space with the smallest cells, drawn as large as there is room. */
export function wholeView(box: Box, space: number): View {
  for (let cell = 1; cell < LEAST_LARGE; cell = cell < UNIT ? cell * 2 : cell + UNIT) {
    if (isWhole(viewAt(box, space, 0, cell), space)) return largestView(box, space, cell);
  }
  const { columns, rows } = viewAt(box, space, 0, LEAST_LARGE);
  const cell = Math.max(LEAST_LARGE, Math.ceil(space / (columns * rows) / UNIT) * UNIT);
  return { start: 0, cell, columns, rows, edge: LEAST_PIXELS };
}

function isWhole({ columns, rows, cell }: View, space: number): boolean {
  return columns * rows * cell >= space;
}

function largestView(box: Box, space: number, cell: number): View {
  let view = viewAt(box, space, 0, cell);
  for (let next = view; isWhole(next, space) && next.edge <= MOST_PIXELS;) {
    view = next;
    next = viewAt(box, space, 0, cell, view.edge + 1);
  }
  return view;
}

/** A smaller or larger cell. */
export function zoomedCell(cell: number, isIn: boolean): number {
  if (isIn) return cell > UNIT ? Math.max(UNIT, Math.round(cell / 1.6 / UNIT) * UNIT) : Math.max(1, cell / 2);
  return cell < UNIT ? cell * 2 : Math.max(cell + UNIT, Math.round((cell * 1.6) / UNIT) * UNIT);
}

/** A view with other cells in which a place is where it was, in shares of the box. */
export function zoomedView(box: Box, space: number, view: View, cell: number, offset: number): View {
  const at = (offset - view.start) / view.cell;
  const across = (at % view.columns) / view.columns;
  const down = Math.floor(at / view.columns) / view.rows;
  const next = viewAt(box, space, 0, cell);
  const cellsBefore = Math.floor(down * next.rows) * next.columns + Math.floor(across * next.columns);
  return viewAt(box, space, offset - cellsBefore * cell, cell);
}

/** The place in the space at a point of the box. */
export function placeAt(view: View, x: number, y: number): number {
  const column = Math.min(view.columns - 1, Math.max(0, Math.floor(x / view.edge)));
  const row = Math.min(view.rows - 1, Math.max(0, Math.floor(y / view.edge)));
  return view.start + (row * view.columns + column) * view.cell;
}

export type Corners = readonly (readonly [number, number])[];

/** The corners of what bytes of the space cover on the map, in cells: one shape, or two that do not touch. */
export function shapesOf(view: View, offset: number, size: number): Corners[] {
  const cells = view.columns * view.rows;
  const first = Math.max(0, Math.floor((offset - view.start) / view.cell));
  const last = Math.min(cells - 1, Math.floor((offset + Math.max(1, size) - 1 - view.start) / view.cell));
  if (first > last) return [];
  const [top, left] = [Math.floor(first / view.columns), first % view.columns];
  const [bottom, right] = [Math.floor(last / view.columns), (last % view.columns) + 1];
  if (top === bottom) return [inRow(top, left, right)];
  if (top + 1 === bottom && right <= left) return [inRow(top, left, view.columns), inRow(bottom, 0, right)];
  return [
    [
      [left, top],
      [view.columns, top],
      [view.columns, bottom],
      [right, bottom],
      [right, bottom + 1],
      [0, bottom + 1],
      [0, top + 1],
      [left, top + 1],
    ],
  ];
}

function inRow(row: number, left: number, right: number): Corners {
  return [
    [left, row],
    [right, row],
    [right, row + 1],
    [left, row + 1],
  ];
}
