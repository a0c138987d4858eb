/** Owns varints: unsigned numbers of 64 bits in groups of seven bits, the lowest first. */

const MORE = 0x80;
const BITS = 0x7f;

/** Reads single numbers and texts, one behind the other. */
export class Cursor {
  private at = 0;
  private readonly decoder = new TextDecoder();

  constructor(private readonly data: Uint8Array) {}

  /** A number; exact up to 2 ** 53. */
  number(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      if (this.at >= this.data.length) throw new Error("a number is truncated");
      const byte = this.data[this.at++]!;
      value += (byte & BITS) * scale;
      if (byte < MORE) return value;
    }
  }

  /** A number of 64 bits. */
  word(): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      if (this.at >= this.data.length) throw new Error("a number is truncated");
      const byte = this.data[this.at++]!;
      value |= BigInt(byte & BITS) << shift;
      if (byte < MORE) return BigInt.asUintN(64, value);
    }
  }

  take(length: number): Uint8Array {
    if (this.at + length > this.data.length) throw new Error("a text is truncated");
    this.at += length;
    return this.data.subarray(this.at - length, this.at);
  }

  text(): string {
    return this.decoder.decode(this.take(this.number()));
  }
}

/** Decode `count` numbers into `out`; exact up to 2 ** 53. */
export function decodeVarints(data: Uint8Array, count: number, out: Float64Array): void {
  let at = 0;
  for (let entry = 0; entry < count; entry++) {
    let byte = data[at++]!;
    let value = byte & BITS;
    for (let scale = 0x80; byte >= MORE; scale *= 0x80) {
      byte = data[at++]!;
      value += (byte & BITS) * scale;
    }
    out[entry] = value;
  }
  if (at !== data.length) throw new Error("not as many numbers as expected");
}

/** Words of 64 bits as two halves, which JavaScript computes with faster than with a bigint. */
export class Words {
  readonly low: Int32Array;
  readonly high: Int32Array;

  constructor(count: number) {
    this.low = new Int32Array(count);
    this.high = new Int32Array(count);
  }

  /** Decode `count` numbers. */
  decode(data: Uint8Array, count: number): void {
    const { low, high } = this;
    let at = 0;
    for (let entry = 0; entry < count; entry++) {
      let byte = data[at++]!;
      let below = byte & BITS;
      let above = 0;
      let shift = 7;
      while (byte >= MORE) {
        byte = data[at++]!;
        const bits = byte & BITS;
        if (shift < 32) below |= bits << shift;
        if (shift === 28) above |= bits >>> 4;
        else if (shift > 28) above |= bits << (shift - 32);
        shift += 7;
      }
      low[entry] = below;
      high[entry] = above;
    }
    if (at !== data.length) throw new Error("not as many numbers as expected");
  }
}
