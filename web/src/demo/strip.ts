/** Owns where blocks are drawn on a strip: to scale, but that long payloads are cut short. */
import type { Block } from "./session";

/** A payload of more bytes is cut. */
export const LONGEST = 512;
/** So much of it is drawn: its beginning and its end. */
export const CUT = 128;

export type Part = "header" | "payload" | "padding";

/** A part of a block, from one place on the strip to another. */
export interface Piece {
  readonly block: Block;
  readonly part: Part;
  readonly from: number;
  readonly to: number;
  readonly isCut: boolean;
}

/** A part of a row. */
export interface Stretch {
  readonly row: number;
  readonly left: number;
  readonly width: number;
  readonly isFirst: boolean;
  readonly isLast: boolean;
}

/** Bytes of a payload that the program did not ask for. */
export function paddingOf({ size, asked }: Block): number {
  return asked === null ? 0 : size - asked;
}

/** Blocks one behind the other, in units of bytes. */
export class Strip {
  readonly pieces: Piece[] = [];
  /** Where the last block ends. */
  length = 0;
  private readonly begins: { block: Block; from: number }[] = [];

  constructor(
    blocks: readonly Block[],
    private readonly header: number,
  ) {
    for (const block of blocks) {
      this.begins.push({ block, from: this.length });
      this.add(block, "header", header);
      const padding = paddingOf(block);
      this.add(block, "payload", drawnBytes(block.size) - padding, block.size > LONGEST);
      if (padding) this.add(block, "padding", padding);
    }
  }

  /** Where an address is drawn; the end of the last block is one, too. Null if it is in none. */
  placeOf(address: number): number | null {
    const found = this.begins.findLast(
      ({ block: { at, size } }) => at - this.header <= address && address <= at + size,
    );
    if (!found) return null;
    const { block, from } = found;
    return from + drawnOffset(address - block.at + this.header, block.size, this.header);
  }

  private add(block: Block, part: Part, bytes: number, isCut = false): void {
    this.pieces.push({ block, part, from: this.length, to: this.length + bytes, isCut });
    this.length += bytes;
  }
}

function drawnBytes(size: number): number {
  return size > LONGEST ? CUT : size;
}

/** Where in what is drawn of a block a place in it is. */
function drawnOffset(offset: number, size: number, header: number): number {
  const inPayload = offset - header;
  if (size <= LONGEST || inPayload <= CUT / 2) return offset;
  const fromEnd = size - inPayload;
  return header + (fromEnd < CUT / 2 ? CUT - fromEnd : CUT / 2);
}

/** The rows that a part of the strip is on, when a row has room for so many units. */
export function stretchesOf(from: number, to: number, perRow: number): Stretch[] {
  const found: Stretch[] = [];
  for (let row = Math.floor(from / perRow); row * perRow < to || !found.length; row++) {
    const begin = Math.max(from, row * perRow);
    const end = Math.min(to, (row + 1) * perRow);
    found.push({
      row,
      left: begin - row * perRow,
      width: end - begin,
      isFirst: begin === from,
      isLast: end === to,
    });
  }
  return found;
}
