/** Owns the map on the screen: its canvases, zooming, hovering and choosing, and the marks on it. */
import { byId, make, Newest } from "./dom";
import { placeAt, shapesOf, viewAt, wholeView, zoomedCell, zoomedView } from "./geometry";
import type { Box, Corners } from "./geometry";
import type { View } from "./painter";
import type { Drawn, Opened } from "./protocol";
import { FINEST, overheads } from "./overhead";
import { addressText, bytesText } from "./words";

const RULER_STEP = 56; // CSS pixels
const DRAG_FROM = 5; // CSS pixels: less is a click
const WHEEL_STEP = 40;
const LABEL_HEIGHT = 10;
const HATCH_STEP = 5;

/** What the map asks of the page. */
export interface MapEvents {
  /** The view changed and is to be drawn. */
  changed(): void;
  /** The pointer is over a place, at a point of the window; null if it is not over the map. */
  hovered(offset: number | null, x: number, y: number): Promise<void>;
  chosen(offset: number): void;
}

type Range = readonly [number, number];

export class MapView {
  view: View;
  private readonly canvas = byId<HTMLCanvasElement>("map");
  private readonly marks = byId<HTMLCanvasElement>("marks");
  private readonly box = byId("map-box");
  private readonly ruler = byId("ruler");
  private isWhole = true;
  private drawn: Drawn | null = null;
  private selected: Range | null = null;
  private pinned: readonly Range[] = [];

  constructor(
    private readonly opened: Opened,
    private readonly events: MapEvents,
  ) {
    this.view = wholeView(this.size(), opened.spaceSize);
    new ResizeObserver(() => this.fit()).observe(this.box);
    this.listen();
  }

  /** Show what the worker painted. */
  show(drawn: Drawn): void {
    const { view, pixels, now } = drawn;
    this.drawn = drawn;
    const { canvas } = this;
    if (canvas.width !== view.columns || canvas.height !== view.rows) {
      canvas.width = view.columns;
      canvas.height = view.rows;
    }
    const { edge } = view;
    canvas.style.width = `${view.columns * edge}px`;
    canvas.style.height = `${view.rows * edge}px`;
    const image = new ImageData(new Uint8ClampedArray(pixels), view.columns, view.rows);
    canvas.getContext("2d")!.putImageData(image, 0, 0);
    canvas.style.touchAction = this.isWhole ? "pan-y" : "none"; // a finger moves the page if not the map
    Object.assign(canvas.dataset, {
      now,
      start: view.start,
      cell: view.cell,
      columns: view.columns,
      rows: view.rows,
    });
    this.drawMarks();
    this.writeRuler();
  }

  /** Mark a block, or nothing. */
  select(range: Range | null): void {
    this.selected = range;
    this.drawMarks();
  }

  /** Mark the blocks of a line of the ledger. */
  pin(ranges: readonly Range[]): void {
    this.pinned = ranges;
    this.drawMarks();
  }

  whole(): void {
    this.isWhole = true;
    this.change(wholeView(this.size(), this.opened.spaceSize));
  }

  /** Zoom about a place, by default the middle of the view. */
  zoom(isIn: boolean, offset = this.middle()): void {
    const { size, opened, view } = { size: this.size(), opened: this.opened, view: this.view };
    const cell = zoomedCell(view.cell, isIn);
    if (!isIn && cell >= wholeView(size, opened.spaceSize).cell) this.whole();
    else this.change(zoomedView(size, opened.spaceSize, view, cell, offset), false);
  }

  /** Move by rows. */
  scroll(rows: number): void {
    if (this.isWhole) return;
    const { view } = this;
    const start = view.start + rows * view.columns * view.cell;
    this.change(viewAt(this.size(), this.opened.spaceSize, start, view.cell), false);
  }

  /** Bring a place into view, close enough to see a block of this size. */
  reveal(offset: number, size: number): void {
    const cell = Math.min(this.view.cell, Math.max(4, 2 ** Math.floor(Math.log2(Math.max(16, size) / 4))));
    const next = viewAt(this.size(), this.opened.spaceSize, 0, cell);
    const start = offset - Math.floor(next.rows / 2) * next.columns * cell;
    this.change(viewAt(this.size(), this.opened.spaceSize, start, cell), false);
  }

  whereText(): string {
    const { view, opened } = this;
    const visible = Math.min(view.columns * view.rows * view.cell, opened.spaceSize);
    const part = this.isWhole ? "" : `${bytesText(visible)} of ${bytesText(opened.spaceSize)}, `;
    return `${part}${bytesText(view.cell)} a cell`;
  }

  private size(): Box {
    return { width: this.box.clientWidth, height: this.box.clientHeight };
  }

  private fit(): void {
    const { view } = this;
    if (this.isWhole) this.whole();
    else this.change(viewAt(this.size(), this.opened.spaceSize, view.start, view.cell), false);
  }

  private change(view: View, isWhole = true): void {
    this.isWhole = isWhole;
    this.view = view;
    this.events.changed();
  }

  private middle(): number {
    const { view } = this;
    if (this.selected) {
      const [offset] = this.selected;
      const isSeen = offset >= view.start && offset < view.start + view.columns * view.rows * view.cell;
      if (isSeen) return offset;
    }
    return view.start + (Math.floor(view.rows / 2) * view.columns + Math.floor(view.columns / 2)) * view.cell;
  }

  private placeOf(event: MouseEvent): number {
    const { left, top } = this.canvas.getBoundingClientRect();
    return placeAt(this.view, event.clientX - left, event.clientY - top);
  }

  private listen(): void {
    const { canvas } = this;
    const hover = new Newest<{ offset: number | null; x: number; y: number }>(({ offset, x, y }) =>
      this.events.hovered(offset, x, y),
    );
    let pressed: { x: number; y: number; start: number; isDrag: boolean } | null = null;
    let wheeled = 0;
    canvas.addEventListener("pointermove", (event) => {
      if (pressed) this.drag(event, pressed);
      else hover.want({ offset: this.placeOf(event), x: event.clientX, y: event.clientY });
    });
    canvas.addEventListener("pointerleave", () => hover.want({ offset: null, x: 0, y: 0 }));
    canvas.addEventListener("pointerdown", (event) => {
      pressed = { x: event.clientX, y: event.clientY, start: this.view.start, isDrag: false };
      canvas.setPointerCapture(event.pointerId);
      hover.want({ offset: null, x: 0, y: 0 });
    });
    canvas.addEventListener("pointerup", (event) => {
      if (pressed && !pressed.isDrag) this.events.chosen(this.placeOf(event));
      pressed = null;
    });
    canvas.addEventListener("pointercancel", () => (pressed = null));
    canvas.addEventListener("dblclick", (event) => this.zoom(!event.shiftKey, this.placeOf(event)));
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        if (event.shiftKey) {
          this.scroll(Math.sign(event.deltaY || event.deltaX) * 4);
          return;
        }
        wheeled += event.deltaY;
        for (
          ;
          Math.abs(wheeled) >= WHEEL_STEP;
          wheeled -= Math.sign(wheeled) * Math.min(Math.abs(wheeled), 100)
        ) {
          this.zoom(wheeled < 0, this.placeOf(event));
        }
      },
      { passive: false },
    );
  }

  private drag(event: PointerEvent, pressed: { x: number; y: number; start: number; isDrag: boolean }): void {
    const [across, down] = [event.clientX - pressed.x, event.clientY - pressed.y];
    if (Math.hypot(across, down) < DRAG_FROM && !pressed.isDrag) return;
    pressed.isDrag = true;
    if (this.isWhole) return;
    const { view } = this;
    const { edge } = view;
    const cells = Math.round(down / edge) * view.columns + Math.round(across / edge);
    this.change(
      viewAt(this.size(), this.opened.spaceSize, pressed.start - cells * view.cell, view.cell),
      false,
    );
  }

  private writeRuler(): void {
    const { view } = this;
    const { edge } = view;
    const every = Math.ceil(RULER_STEP / edge);
    const marks: HTMLElement[] = [];
    for (let row = 0; row < view.rows; row += every) {
      const offset = view.start + row * view.columns * view.cell;
      if (offset >= this.opened.spaceSize) break;
      marks.push(make("span", { style: `top: ${row * edge}px` }, addressText(this.addressOf(offset))));
    }
    this.ruler.replaceChildren(...marks);
  }

  private addressOf(offset: number): number {
    const { parts } = this.opened;
    const part = parts.findLast((one) => one.offset <= offset);
    return part ? part.address + offset - part.offset : 0;
  }

  private drawMarks(): void {
    const { drawn, marks } = this;
    if (!drawn) return;
    const { view } = drawn;
    const { edge } = view;
    const ratio = window.devicePixelRatio;
    const [width, height] = [view.columns * edge, view.rows * edge];
    if (marks.width !== width * ratio || marks.height !== height * ratio) {
      marks.width = width * ratio;
      marks.height = height * ratio;
      marks.style.width = `${width}px`;
      marks.style.height = `${height}px`;
    }
    const style = getComputedStyle(marks);
    const context = marks.getContext("2d")!;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    this.drawOverheads(context, drawn, style);
    this.drawOutlines(context, drawn, style);
    context.lineWidth = 2;
    context.strokeStyle = style.getPropertyValue("--part");
    for (const { offset } of this.opened.parts) {
      const corner = offset ? shapesOf(view, offset, 1)[0]?.[0] : undefined;
      if (offset < view.start || !corner) continue;
      const [x, y] = [corner[0] * edge, corner[1] * edge];
      context.beginPath();
      context.moveTo(x, y - 1);
      context.lineTo(x, y + edge + 1);
      context.stroke();
    }
    context.strokeStyle = style.getPropertyValue("--pin");
    for (const range of this.pinned) this.outline(context, view, range);
    const last = drawn.last;
    if (last?.offset !== null && last?.offset !== undefined) {
      context.strokeStyle = style.getPropertyValue("--last");
      this.outline(context, view, [last.offset, last.size ?? 1]);
    }
    if (this.selected) {
      context.lineWidth = 3;
      context.strokeStyle = style.getPropertyValue("--selected");
      this.outline(context, view, this.selected);
    }
  }

  /** Headers and padding between blocks, if cells are small enough for them. */
  private drawOverheads(context: CanvasRenderingContext2D, drawn: Drawn, style: CSSStyleDeclaration): void {
    const { view, outlines } = drawn;
    const found = view.cell <= FINEST ? overheads(outlines, this.opened.parts, view.cell) : [];
    this.marks.dataset.overheads = String(found.length);
    context.lineWidth = 1;
    context.strokeStyle = style.getPropertyValue("--overhead");
    for (const { offset, size } of found) {
      for (const corners of shapesOf(view, offset, size)) hatch(context, corners, view.edge);
    }
  }

  /** Blocks that can be told apart, with their sizes where there is room. */
  private drawOutlines(context: CanvasRenderingContext2D, drawn: Drawn, style: CSSStyleDeclaration): void {
    const { view, outlines } = drawn;
    const { edge } = view;
    context.lineWidth = 1;
    context.strokeStyle = style.getPropertyValue("--outline");
    context.font = `${LABEL_HEIGHT}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    for (const { offset, size } of outlines) {
      this.outline(context, view, [offset, size]);
      const [corners] = shapesOf(view, offset, size);
      if (!corners || offset < view.start || edge < LABEL_HEIGHT) continue;
      const [left, top] = corners[0]!;
      const room = (corners[1]![0] - left) * edge - 8;
      const text = bytesText(size);
      if (context.measureText(text).width > room) continue;
      context.fillStyle = style.getPropertyValue("--label-back");
      context.fillRect(left * edge + 3, top * edge + 1, context.measureText(text).width + 4, edge - 2);
      context.fillStyle = style.getPropertyValue("--label");
      context.fillText(text, left * edge + 5, top * edge + edge / 2 + 0.5);
    }
  }

  private outline(context: CanvasRenderingContext2D, view: View, [offset, size]: Range): void {
    const { edge } = view;
    for (const corners of shapesOf(view, offset, size)) {
      context.beginPath();
      for (const [x, y] of corners) context.lineTo(x * edge, y * edge);
      context.closePath();
      context.stroke();
    }
  }
}

/** Fill a shape with slanted lines. */
function hatch(context: CanvasRenderingContext2D, corners: Corners, edge: number): void {
  context.save();
  context.beginPath();
  for (const [x, y] of corners) context.lineTo(x * edge, y * edge);
  context.clip();
  const [left, right] = [
    Math.min(...corners.map(([x]) => x)) * edge,
    Math.max(...corners.map(([x]) => x)) * edge,
  ];
  const [top, bottom] = [
    Math.min(...corners.map(([, y]) => y)) * edge,
    Math.max(...corners.map(([, y]) => y)) * edge,
  ];
  context.beginPath();
  const height = bottom - top;
  for (let x = left - height - ((left - height) % HATCH_STEP); x < right; x += HATCH_STEP) {
    context.moveTo(x, bottom);
    context.lineTo(x + height, top);
  }
  context.stroke();
  context.restore();
}
