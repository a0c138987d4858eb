/** Owns the picture of the heap: all of it to scale, and its blocks enlarged, with what a call did to them. */
import { byId, make } from "../dom";
import { bytesText, countText, numberText } from "../words";
import { addressName } from "./names";
import type { Block, Session, Step } from "./session";
import { paddingOf, Strip, stretchesOf } from "./strip";
import type { Piece, Stretch } from "./strip";

const WIDE = 560; // CSS pixels: from here on a row has room for more
const UNITS_WIDE = 512;
const UNITS_NARROW = 256;
const BADGE_WIDTH = 18; // CSS pixels
const ADDRESS_UNITS = 36; // room for an address
const MARKED = new Set(["chosen", "split", "merged", "grown", "mapped", "freed", "moved"]);

const LEGEND: readonly (readonly [string, string])[] = [
  ["header", "header, 32 bytes"],
  ["live", "live payload"],
  ["padding", "padding: rounding, or a remainder too small for a block"],
  ["mapped", "in a mapping of its own"],
  ["free", "free, in the index"],
  ["waiting", "free, waiting to be merged"],
];

/** What kind of block it is, as the colours have it. */
export function kindOf(block: Block): string {
  return block.kept === "waiting" ? "waiting" : block.status;
}

export class HeapPicture {
  private step: Step | null = null;
  private selected = 0;

  constructor(
    private readonly session: Session,
    private readonly choose: (block: Block) => void,
  ) {
    byId("legend").append(
      ...LEGEND.map(([kind, text]) => make("li", {}, make("span", { class: `sample ${kind}` }), text)),
    );
    let { clientWidth } = byId("strip");
    new ResizeObserver(() => {
      if (byId("strip").clientWidth === clientWidth) return;
      ({ clientWidth } = byId("strip"));
      this.draw();
    }).observe(byId("strip"));
  }

  show(step: Step, selected: number): void {
    this.step = step;
    this.selected = selected;
    this.draw();
  }

  private get perRow(): number {
    return byId("strip").clientWidth >= WIDE ? UNITS_WIDE : UNITS_NARROW;
  }

  private draw(): void {
    const { step } = this;
    if (!step) return;
    const heap = step.blocks.filter(({ status }) => status !== "mapped");
    const mapped = step.blocks.filter(({ status }) => status === "mapped");
    byId("whole").replaceChildren(this.whole(step, heap));
    const drawn = [this.rows(step, heap, "heap")];
    if (mapped.length) drawn.push(make("h3", {}, "Mappings"), this.rows(step, mapped, "mappings"));
    byId("strip").replaceChildren(...drawn);
  }

  /** All of the heap on one line. */
  private whole(step: Step, heap: readonly Block[]): HTMLElement {
    const { start, header } = this.session;
    const bytes = step.end - start;
    const bar = make("div", { class: "bar" });
    for (const block of heap) {
      const share = (count: number): string => `${((100 * count) / bytes).toFixed(4)}%`;
      const place = `left: ${share(block.at - header - start)}; width: ${share(block.size + header)}`;
      bar.append(make("span", { class: kindOf(block), style: place }));
    }
    const text = `The whole heap to scale, ${numberText(bytes)} bytes up to the break; below, long payloads are shortened:`;
    return make("div", {}, make("p", { class: "hint" }, text), bar);
  }

  private rows(step: Step, blocks: readonly Block[], kind: string): HTMLElement {
    const { perRow } = this;
    const strip = new Strip(blocks, this.session.header);
    const count = Math.max(1, Math.ceil(strip.length / perRow));
    const rows = Array.from({ length: count }, () => make("div", { class: "row" }));
    const put = (stretch: Stretch, element: HTMLElement): void => {
      element.style.left = `${((100 * stretch.left) / perRow).toFixed(4)}%`;
      element.style.width = `${((100 * stretch.width) / perRow).toFixed(4)}%`;
      (rows[stretch.row] ?? rows[count - 1]!).append(element);
    };
    for (const piece of strip.pieces) {
      const stretches = stretchesOf(piece.from, piece.to, perRow);
      const widest = stretches.reduce((most, one) => (one.width > most.width ? one : most));
      for (const stretch of stretches) put(stretch, this.piece(step, piece, stretch, stretch === widest));
    }
    const badgesAt = new Map<number, number>();
    for (const [number, { kind: what, begin, end }] of step.happened.entries()) {
      const from = MARKED.has(what) && end > begin ? strip.placeOf(begin) : null;
      const to = from === null ? null : strip.placeOf(end);
      if (from === null || to === null || to <= from) continue;
      const badge = badgesAt.get(from) ?? 0; // of several that begin at one place, each has room
      badgesAt.set(from, badge + 1);
      for (const stretch of stretchesOf(from, to, perRow)) put(stretch, mark(what, number, stretch, badge));
    }
    if (kind === "heap" && blocks.length) this.drawBreak(step, strip, rows);
    return make("div", { class: "rows", id: `rows-${kind}` }, ...rows);
  }

  private piece(step: Step, piece: Piece, stretch: Stretch, hasRoom: boolean): HTMLElement {
    const { block, part, isCut } = piece;
    const where = addressName(this.session, step.end, block.at);
    const classes = ["piece", part, kindOf(block), block.at === this.selected ? "selected" : ""];
    if (isCut && hasRoom) classes.push("cut");
    if (this.perRow - stretch.left < ADDRESS_UNITS) classes.push("at-end");
    const label = part === "payload" && hasRoom ? payloadText(block, stretch.width) : "";
    const bytes = bytesText(partBytes(piece, this.session));
    const element = make(
      "button",
      {
        type: "button",
        class: classes.filter(Boolean).join(" "),
        title: `${part} of ${block.name || kindOf(block)} at ${where}: ${bytes}`,
        click: () => this.choose(block),
      },
      label,
    );
    if (part !== "payload") element.tabIndex = -1;
    Object.assign(element.dataset, { at: block.at, part, size: block.size, status: block.status });
    if (part === "payload" && stretch.isFirst) element.append(make("small", {}, where));
    return element;
  }

  private drawBreak(step: Step, strip: Strip, rows: readonly HTMLElement[]): void {
    const { perRow } = this;
    const row = Math.ceil(strip.length / perRow) - 1;
    const left = (100 * (strip.length - row * perRow)) / perRow;
    const text = `break ${addressName(this.session, step.end, step.end)}`;
    const line = make("span", { class: `break${left > 85 ? " at-end" : ""}` }, make("small", {}, text));
    line.style.left = `${left.toFixed(4)}%`;
    rows[row]?.append(line);
  }
}

/** The number of something that happened, where it did. */
function mark(kind: string, number: number, stretch: Stretch, badge: number): HTMLElement {
  const element = make("span", { class: `mark did-${kind}` });
  if (!stretch.isFirst) return element;
  element.append(make("b", { style: `margin-left: ${badge * BADGE_WIDTH}px` }, String(number + 1)));
  return element;
}

/** Name and size, as far as there is room for them. */
function payloadText(block: Block, width: number): string {
  const words = [block.name, numberText(block.size)].filter(Boolean);
  if (width >= 48) return words.join(" ");
  return width >= 24 ? (block.name.length > 2 ? "" : block.name) || numberText(block.size) : "";
}

function partBytes({ block, part }: Piece, { header }: Session): number {
  if (part === "header") return header;
  return part === "padding" ? paddingOf(block) : block.size - paddingOf(block);
}

/** A block in words. */
export function blockText(block: Block): string {
  const kind = {
    free: "free",
    live: "live",
    mapped: "live, in a mapping of its own",
    waiting: "free, waiting",
  };
  const text = `${countText(block.size, "byte")}, ${kind[kindOf(block) as keyof typeof kind]}`;
  const padding = paddingOf(block);
  return padding ? `${text}: ${numberText(block.size - padding)} requested, ${padding} of padding` : text;
}
