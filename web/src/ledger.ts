/**
 * Owns the pin ledger: which live blocks keep pages of which most is free.
 *
 * A page is pinned if less than half of it is live. What is free in it is held back by its blocks, by each
 * the same part.
 */
import type { Heap } from "./heap";
import { pageFor } from "./pages";

const MOST_LINES = 50;
const MOST_BLOCKS = 2000;

export interface LedgerLine {
  readonly key: number;
  readonly label: string;
  blocks: number;
  /** The bytes of these blocks. */
  bytes: number;
  /** Free bytes in the pages that they keep. */
  held: number;
}

export interface Ledger {
  readonly pages: number;
  readonly held: number;
  readonly lines: LedgerLine[];
}

/** Bytes and blocks that are live on each page. */
class PageCounts {
  readonly page: number;
  readonly bytes: Float64Array;
  readonly blocks: Uint32Array;

  constructor(private readonly heap: Heap) {
    const { size } = heap.slots.space;
    this.page = pageFor(size);
    const pages = Math.ceil(size / this.page);
    this.bytes = new Float64Array(pages);
    this.blocks = new Uint32Array(pages);
    heap.eachLive((block, offset) => {
      this.eachPage(block, offset, (page, bytes) => {
        this.bytes[page]! += bytes;
        this.blocks[page]!++;
      });
    });
  }

  /** How much a block holds back. */
  heldBy(block: number, offset: number): number {
    let held = 0;
    this.eachPage(block, offset, (page, bytes) => {
      if (bytes < this.page && this.isPinned(page))
        held += (this.page - this.bytes[page]!) / this.blocks[page]!;
    });
    return held;
  }

  isPinned(page: number): boolean {
    return this.blocks[page]! > 0 && this.bytes[page]! < this.page / 2;
  }

  private eachPage(block: number, offset: number, visit: (page: number, bytes: number) => void): void {
    const end = offset + Math.max(1, this.heap.trace.size[block]!);
    const last = Math.floor((end - 1) / this.page);
    for (let page = Math.floor(offset / this.page); page <= last; page++) {
      visit(page, Math.min(end, (page + 1) * this.page) - Math.max(offset, page * this.page));
    }
  }
}

/** What the lines of the ledger are: where blocks were allocated, or their size where that is not known. */
export type Grouping = { keyOf: (block: number) => number; labelOf: (key: number) => string };

/** The ledger of the heap as it is. */
export function pinLedger(heap: Heap, grouping: Grouping): Ledger {
  const counts = new PageCounts(heap);
  const lines = new Map<number, LedgerLine>();
  heap.eachLive((block, offset) => {
    const held = counts.heldBy(block, offset);
    if (!held) return;
    const key = grouping.keyOf(block);
    let line = lines.get(key);
    if (!line) lines.set(key, (line = { key, label: grouping.labelOf(key), blocks: 0, bytes: 0, held: 0 }));
    line.blocks++;
    line.bytes += heap.trace.size[block]!;
    line.held += held;
  });
  let [pages, held] = [0, 0];
  for (let page = 0; page < counts.bytes.length; page++) {
    if (!counts.isPinned(page)) continue;
    pages++;
    held += counts.page - counts.bytes[page]!;
  }
  const sorted = [...lines.values()].sort((one, other) => other.held - one.held);
  return { pages, held, lines: sorted.slice(0, MOST_LINES) };
}

/** Where the blocks of a line are: pairs of place and size. */
export function blocksOfLine(heap: Heap, grouping: Grouping, key: number): [number, number][] {
  const counts = new PageCounts(heap);
  const found: [number, number][] = [];
  heap.eachLive((block, offset) => {
    if (found.length < MOST_BLOCKS && grouping.keyOf(block) === key && counts.heldBy(block, offset)) {
      found.push([offset, heap.trace.size[block]!]);
    }
  });
  return found;
}
