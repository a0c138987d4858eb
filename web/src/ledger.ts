/**
 * Owns the pin ledger: which live blocks keep pages of which most is free, as `snug report` has it.
 *
 * A block lies on the pages from its first byte to its last; one of 0 bytes takes one. A page is pinned if
 * blocks are on it and more than half of it is free. What is free on it is held back by its blocks, by each the
 * same part.
 */
import type { Heap } from "./heap";
import { systemPage } from "./pages";

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
  /** Bytes of a page. */
  readonly page: number;
  /** The pinned ones. */
  readonly pages: number;
  readonly held: number;
  readonly lines: LedgerLine[];
}

/** What is live on a page. */
interface PageCount {
  bytes: number;
  blocks: number;
}

/** Bytes and blocks on the pages where a live block begins or ends. On those within one nothing is free. */
class PageCounts {
  readonly page: number;
  readonly counts = new Map<number, PageCount>();

  constructor(private readonly heap: Heap) {
    this.page = systemPage(heap.trace.header.pageSize);
    heap.eachLive((block, offset) => {
      this.eachEdge(block, offset, (page, bytes) => {
        const count = this.counts.get(page);
        if (!count) {
          this.counts.set(page, { bytes, blocks: 1 });
          return;
        }
        count.bytes += bytes;
        count.blocks++;
      });
    });
  }

  /** How much a block holds back. */
  heldBy(block: number, offset: number): number {
    let held = 0;
    this.eachEdge(block, offset, (page) => {
      const count = this.counts.get(page)!;
      if (this.isPinned(count)) held += (this.page - count.bytes) / count.blocks;
    });
    return held;
  }

  isPinned({ bytes }: PageCount): boolean {
    return bytes < this.page / 2;
  }

  /** The first page of a block and its last one, with the bytes that it has there. */
  private eachEdge(block: number, offset: number, visit: (page: number, bytes: number) => void): void {
    const end = offset + Math.max(1, this.heap.trace.size[block]!);
    const first = Math.floor(offset / this.page);
    const last = Math.floor((end - 1) / this.page);
    if (first === last) {
      visit(first, end - offset);
      return;
    }
    visit(first, (first + 1) * this.page - offset);
    visit(last, end - last * this.page);
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
  for (const count of counts.counts.values()) {
    if (!counts.isPinned(count)) continue;
    pages++;
    held += counts.page - count.bytes;
  }
  const sorted = [...lines.values()].sort((one, other) => other.held - one.held);
  return { page: counts.page, pages, held, lines: sorted.slice(0, MOST_LINES) };
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
