/** Owns a trace as typed arrays: one entry for each event, and one for each block. */
import { ABOUT, ADDRESSES, COLUMNS, payloadOf, readChunks, readHeader, TABLES, TIMES } from "./format";
import type { Chunk, Header } from "./format";
import {
  GIVES_BLOCK,
  HAS_ADDRESS,
  HAS_NUMBER,
  HAS_POINTER,
  HAS_SIZE,
  IS_ALLOCATION,
  REFUSED,
  THREAD_BEGIN,
  THREAD_NAME,
} from "./operations";
import { Tables } from "./tables";
import { Cursor, decodeVarints, Words } from "./varints";

export const NO_BLOCK = -1;

const FOREIGN = 1;
const NEAREST = 2;
const OPERATION = 1;
const THREAD = 2;
const TIME = 3;
const SIZE = 4;
const NUMBER = 5;
const DISTANCE = 6;
const ADDRESS = 7;
const STACK = 8;

const SMALL_SIZES = 1 << 16;
const HIGH_BITS = 0x1fffff; // with the 32 below: 53 bits, which a number holds
const CHUNKS_AHEAD = 4;
const NOTHING = new Uint8Array(0);

/** An event that gave or ended no block, or a call that was refused. */
export interface OtherEvent {
  readonly event: number;
  readonly operation: number;
  readonly address: number;
  readonly size: number;
  readonly number: number;
}

/** What was recorded. Events and blocks are counted from 0. */
export class Trace {
  events = 0;
  blocks = 0;
  readonly tables = new Tables();
  readonly about = new Map<string, string>();
  readonly others: OtherEvent[] = [];
  /** The number of each thread in the file; elsewhere threads are counted from 0 as they come. */
  readonly threadNumbers: number[] = [];
  readonly threadNames = new Map<number, string>();
  /** What the system calls the threads. */
  readonly threadIds = new Map<number, number>();
  /** Why not all of the file could be read. */
  damage: string | null = null;

  readonly operation: Uint8Array;
  readonly thread: Uint32Array;
  /** Ticks since the recording began; nothing if the trace has no times. */
  readonly time: Float64Array;
  /** The block that the event gave, or NO_BLOCK. */
  readonly given: Int32Array;
  /** The block that the event freed, or NO_BLOCK. A realloc that gave a block frees the old one. */
  readonly freed: Int32Array;

  size = new Float64Array(0);
  address = new Float64Array(0);
  stack = new Uint32Array(0);
  /** The event that gave the block. */
  born = new Uint32Array(0);

  constructor(
    readonly header: Header,
    capacity: number,
  ) {
    this.operation = new Uint8Array(capacity);
    this.thread = new Uint32Array(capacity);
    this.time = new Float64Array(this.hasTimes ? capacity : 0);
    this.given = new Int32Array(capacity);
    this.freed = new Int32Array(capacity);
  }

  get hasTimes(): boolean {
    return (this.header.flags & TIMES) !== 0;
  }

  get hasAddresses(): boolean {
    return (this.header.flags & ADDRESSES) !== 0;
  }

  /** What people call a thread. */
  threadLabel(thread: number): string {
    const name = this.threadNames.get(thread);
    const id = this.threadIds.get(thread);
    const number = `thread ${id ?? this.threadNumbers[thread] ?? 0}`;
    return name ? `${name} (${number})` : number;
  }

  /** Make room for so many more blocks. */
  expect(blocks: number): void {
    const needed = this.blocks + blocks;
    if (needed <= this.size.length) return;
    const capacity = Math.max(needed, Math.min(this.operation.length, this.size.length * 2));
    this.size = resized(Float64Array, this.size, capacity);
    this.address = resized(Float64Array, this.address, capacity);
    this.stack = resized(Uint32Array, this.stack, capacity);
    this.born = resized(Uint32Array, this.born, capacity);
  }
}

function resized<T extends Float64Array | Uint32Array>(
  type: new (length: number) => T,
  old: T,
  length: number,
): T {
  const grown = new type(length);
  grown.set(old);
  return grown;
}

/** Read a `.snug` file of columns. One that is damaged is read as far as it goes. */
export async function readTrace(
  file: Uint8Array,
  progress: (done: number, total: number) => void = () => undefined,
): Promise<Trace> {
  const header = readHeader(file);
  const chunks = [...readChunks(file, header.size)];
  const total = chunks.reduce((sum, chunk) => sum + (chunk.kind === COLUMNS ? chunk.entries : 0), 0);
  const trace = new Trace(header, total);
  const decoder = new ColumnsDecoder(trace);
  const unpacked = chunks.slice(0, CHUNKS_AHEAD).map(payloadOf);
  for (const [number, chunk] of chunks.entries()) {
    try {
      const payload = await unpacked[number]!;
      readChunk(trace, decoder, chunk, payload);
    } catch (error) {
      trace.damage = `the chunk of event ${trace.events} cannot be read: ${(error as Error).message}`;
      break;
    }
    const ahead = chunks[number + CHUNKS_AHEAD];
    if (ahead) unpacked.push(payloadOf(ahead));
    progress(trace.events, total);
  }
  nameThreads(trace);
  return trace;
}

function readChunk(trace: Trace, decoder: ColumnsDecoder, chunk: Chunk, payload: Uint8Array): void {
  if (chunk.kind === COLUMNS) {
    decoder.decode(chunk, payload);
  } else if (chunk.kind === TABLES) {
    trace.tables.read(payload, chunk.entries);
  } else if (chunk.kind === ABOUT) {
    const cursor = new Cursor(payload);
    for (let entry = 0; entry < chunk.entries; entry++) trace.about.set(cursor.text(), cursor.text());
  }
}

/** A thread's name may stand in a text behind the event that gives it. */
function nameThreads(trace: Trace): void {
  for (const { event, operation, number } of trace.others) {
    const thread = trace.thread[event]!;
    if (operation === THREAD_NAME) trace.threadNames.set(thread, trace.tables.text(number));
    if (operation === THREAD_BEGIN) trace.threadIds.set(thread, number);
  }
}

/** Spreads the columns of chunks, which have entries where they apply, over events and blocks. */
class ColumnsDecoder {
  private buffers = new Map<number, Float64Array>();
  private words = new Words(0);
  private readonly addresses = new AddressDecoder();
  private readonly threads = new Map<number, number>();

  constructor(private readonly trace: Trace) {}

  decode(chunk: Chunk, payload: Uint8Array): void {
    const cursor = new Cursor(payload);
    cursor.number(); // how many blocks were given before: they are counted here
    const [base, shift, columns] = [cursor.word(), cursor.number(), cursor.number()];
    const lengths: [number, number][] = [];
    for (let column = 0; column < columns; column++) lengths.push([cursor.number(), cursor.number()]);
    const packed = new Map(lengths.map(([number, length]) => [number, cursor.take(length)]));
    const operations = packed.get(OPERATION) ?? NOTHING;
    if (operations.length !== chunk.entries) throw new Error("operations are missing");

    const everywhere = chunk.entries;
    const threads = this.column(packed, THREAD, everywhere);
    const steps = this.column(packed, TIME, this.trace.hasTimes ? everywhere : 0);
    const sizes = this.column(packed, SIZE, countOf(operations, HAS_SIZE));
    const numbers = this.column(packed, NUMBER, countOf(operations, HAS_NUMBER));
    const distances = this.column(packed, DISTANCE, countOf(operations, HAS_POINTER));
    const stacks = this.column(packed, STACK, countOf(operations, IS_ALLOCATION));
    const pointers = this.pointers(packed.get(ADDRESS), operations, distances);
    this.addresses.begin(this.words, base, shift);

    const { trace } = this;
    trace.expect(countOf(operations, GIVES_BLOCK));
    let time = Number(chunk.firstTime - trace.header.start);
    let [atSize, atNumber, atDistance, atStack, atPointer] = [0, 0, 0, 0, 0];
    let [threadNumber, thread] = [-1, 0];
    for (let entry = 0; entry < operations.length; entry++) {
      const operation = operations[entry]!;
      const event = trace.events++;
      trace.operation[event] = operation;
      if (threads[entry] !== threadNumber) {
        threadNumber = threads[entry]!;
        thread = this.threadOf(threadNumber);
      }
      trace.thread[event] = thread;
      if (trace.hasTimes) trace.time[event] = time += steps[entry]!;
      const size = HAS_SIZE[operation] ? sizes[atSize++]! : 0;
      const number = HAS_NUMBER[operation] ? numbers[atNumber++]! : 0;
      const stack = IS_ALLOCATION[operation] ? stacks[atStack++]! : 0;

      let freed = NO_BLOCK;
      if (HAS_POINTER[operation]) {
        const distance = distances[atDistance++]!;
        if (distance >= NEAREST) freed = trace.blocks + NEAREST - 1 - distance;
        else if (distance === FOREIGN && pointers) this.addresses.next(atPointer++, size);
      }
      const keeps = operation >= REFUSED && size > 0;
      trace.freed[event] = keeps ? NO_BLOCK : freed;

      let address = 0;
      if (HAS_ADDRESS[operation] && pointers) address = this.addresses.next(atPointer++, size);
      if (GIVES_BLOCK[operation]) {
        const block = trace.blocks++;
        trace.given[event] = block;
        trace.size[block] = size;
        trace.address[block] = address;
        trace.stack[block] = stack;
        trace.born[block] = event;
      } else {
        trace.given[event] = NO_BLOCK;
        if (!HAS_POINTER[operation] || operation >= REFUSED) {
          trace.others.push({ event, operation, address, size, number });
        }
      }
    }
  }

  private threadOf(number: number): number {
    let thread = this.threads.get(number);
    if (thread === undefined) {
      thread = this.trace.threadNumbers.push(number) - 1;
      this.threads.set(number, thread);
    }
    return thread;
  }

  /** A column of `count` entries; zeros if the file does not have it. */
  private column(packed: Map<number, Uint8Array>, number: number, count: number): Float64Array {
    let buffer = this.buffers.get(number);
    if (!buffer || buffer.length < count) this.buffers.set(number, (buffer = new Float64Array(count)));
    const data = packed.get(number);
    if (data && count) decodeVarints(data, count, buffer);
    else buffer.fill(0);
    return buffer;
  }

  /** Decode the column of addresses; whether there is one. */
  private pointers(data: Uint8Array | undefined, operations: Uint8Array, distances: Float64Array): boolean {
    if (!data || !this.trace.hasAddresses) return false;
    let count = countOf(operations, HAS_ADDRESS);
    const given = countOf(operations, HAS_POINTER);
    for (let entry = 0; entry < given; entry++) if (distances[entry] === FOREIGN) count++;
    if (this.words.low.length < count) this.words = new Words(count);
    this.words.decode(data, count);
    return true;
  }
}

function countOf(operations: Uint8Array, table: Uint8Array): number {
  let count = 0;
  for (let entry = 0; entry < operations.length; entry++) count += table[operations[entry]!]!;
  return count;
}

/** Makes addresses of differences: each to the last one of an event of the same size in the chunk. */
class AddressDecoder {
  private words = new Words(0);
  private shift = 0;
  private baseLow = 0;
  private baseHigh = 0;
  private chunk = 0;
  /** Of small sizes by the size itself, of others behind them. */
  private low = new Int32Array(SMALL_SIZES);
  private high = new Int32Array(SMALL_SIZES);
  private readonly chunkOf = new Uint32Array(SMALL_SIZES);
  private readonly large = new Map<number, number>();

  begin(words: Words, base: bigint, shift: number): void {
    this.words = words;
    this.shift = shift;
    this.baseLow = Number(BigInt.asIntN(32, base));
    this.baseHigh = Number(BigInt.asIntN(32, base >> 32n));
    this.chunk++;
    this.large.clear();
  }

  /** The address that an entry of the column is, of an event of this size. */
  next(entry: number, size: number): number {
    const packedLow = this.words.low[entry]!;
    const packedHigh = this.words.high[entry]!;
    const sign = -(packedLow & 1);
    let low = ((packedLow >>> 1) | (packedHigh << 31)) ^ sign;
    let high = (packedHigh >>> 1) ^ sign;
    const { shift } = this;
    if (shift >= 32) {
      high = low << (shift - 32);
      low = 0;
    } else if (shift) {
      high = (high << shift) | (low >>> (32 - shift));
      low <<= shift;
    }
    const key = size < SMALL_SIZES ? this.smallKey(size) : this.largeKey(size);
    const sum = (this.low[key]! >>> 0) + (low >>> 0);
    low = this.low[key] = sum | 0;
    high = this.high[key] = (this.high[key]! + high + (sum > 0xffffffff ? 1 : 0)) | 0;
    return (high & HIGH_BITS) * 0x100000000 + (low >>> 0);
  }

  private smallKey(size: number): number {
    if (this.chunkOf[size] !== this.chunk) {
      this.chunkOf[size] = this.chunk;
      this.low[size] = this.baseLow;
      this.high[size] = this.baseHigh;
    }
    return size;
  }

  private largeKey(size: number): number {
    let key = this.large.get(size);
    if (key === undefined) {
      key = SMALL_SIZES + this.large.size;
      this.large.set(size, key);
      if (key >= this.low.length) {
        this.low = grown(this.low);
        this.high = grown(this.high);
      }
      this.low[key] = this.baseLow;
      this.high[key] = this.baseHigh;
    }
    return key;
  }
}

function grown(old: Int32Array): Int32Array<ArrayBuffer> {
  const twice = new Int32Array(old.length * 2);
  twice.set(old);
  return twice;
}
