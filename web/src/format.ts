/** Owns the frame of a `.snug` file (docs/trace-format.md): the header, and chunks with heads. */

const MAGIC = [0x89, 0x53, 0x4e, 0x55, 0x47, 0x0d, 0x0a, 0x1a];
const MARK = 0x474e53c5; // c5 53 4e 47
const HEAD_BYTES = 64;

export const TIMES = 1;
export const ADDRESSES = 2;
export const STACKS = 4;

export const COLUMNS = 1;
export const TABLES = 3;
export const ABOUT = 4;
const INDEX = 5;
const GZIP = 1;

export interface Header {
  readonly flags: number;
  readonly ticksPerSecond: number;
  readonly start: bigint;
  /** The mean gap in bytes of a sampled recording; 0 if every call was recorded. */
  readonly meanGap: number;
  readonly pid: number;
  /** Bytes of a page of the system; 0 if that is not known. */
  readonly pageSize: number;
  /** Where the first chunk begins. */
  readonly size: number;
}

export interface Chunk {
  readonly kind: number;
  readonly isPacked: boolean;
  readonly entries: number;
  readonly firstTime: bigint;
  readonly stored: Uint8Array;
}

/** The header that a file begins with. */
export function readHeader(file: Uint8Array): Header {
  if (file.length < HEAD_BYTES || MAGIC.some((byte, at) => file[at] !== byte)) {
    throw new Error("not a .snug trace");
  }
  const view = new DataView(file.buffer, file.byteOffset);
  if (view.getUint16(8, true) !== 1) throw new Error("an unknown version of the format");
  return {
    size: view.getUint16(10, true),
    flags: view.getUint32(12, true),
    ticksPerSecond: Number(view.getBigUint64(16, true)),
    start: view.getBigUint64(24, true),
    meanGap: Number(view.getBigUint64(40, true)),
    pid: view.getUint32(48, true),
    pageSize: view.getUint32(56, true),
  };
}

/** The chunks up to the index, or to where the file is cut off. */
export function* readChunks(file: Uint8Array, begin: number): Generator<Chunk> {
  const view = new DataView(file.buffer, file.byteOffset);
  for (let place = begin; place + HEAD_BYTES <= file.length;) {
    const stored = view.getUint32(place + 12, true);
    const end = place + HEAD_BYTES + stored;
    const kind = file[place + 8]!;
    if (view.getUint32(place, true) !== MARK || end > file.length || kind === INDEX) return;
    yield {
      kind,
      isPacked: file[place + 9] === GZIP,
      entries: Number(view.getBigUint64(place + 16, true)),
      firstTime: view.getBigUint64(place + 40, true),
      stored: file.subarray(place + HEAD_BYTES, end),
    };
    place = end;
  }
}

/** The payload of a chunk, unpacked. */
export async function payloadOf(chunk: Chunk): Promise<Uint8Array> {
  if (!chunk.isPacked) return chunk.stored;
  const packed = new Blob([chunk.stored as Uint8Array<ArrayBuffer>]).stream();
  const unpacked = packed.pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(unpacked).arrayBuffer());
}

/** The bytes that base64 stands for. */
export function fromBase64(text: string): Uint8Array {
  const step = 1 << 20; // characters, a multiple of 4
  const found = new Uint8Array(Math.ceil(text.length / 4) * 3);
  let length = 0;
  for (let at = 0; at < text.length; at += step) {
    const part = atob(text.slice(at, at + step));
    for (let byte = 0; byte < part.length; byte++) found[length++] = part.charCodeAt(byte);
  }
  return found.subarray(0, length);
}
