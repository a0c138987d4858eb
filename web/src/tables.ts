/** Owns what events name by a number: texts, frames, and stacks as caller and frame. */
import { Cursor } from "./varints";

const TEXT = 1;
const SOURCE = 2;
const NATIVE = 3;
const STACK = 4;

export interface Frame {
  readonly label: string;
  /** A line of a source file, not a place in machine code. */
  readonly isSource: boolean;
}

/** Texts, frames and stacks by number. Number 0 is the empty text, no frame, and the stack without frames. */
export class Tables {
  readonly texts: string[] = [""];
  readonly frames: (Frame | null)[] = [null];
  readonly callers: number[] = [0];
  readonly frameOf: number[] = [0];

  get stacks(): number {
    return this.callers.length;
  }

  /** Add the definitions of a chunk. */
  read(payload: Uint8Array, count: number): void {
    const cursor = new Cursor(payload);
    const before = [cursor.number(), cursor.number(), cursor.number()];
    if (before.join() !== [this.texts.length, this.frames.length, this.stacks].join()) {
      throw new Error("a chunk of tables is missing");
    }
    for (let definition = 0; definition < count; definition++) this.readDefinition(cursor);
  }

  private readDefinition(cursor: Cursor): void {
    const kind = cursor.number();
    if (kind === TEXT) {
      this.texts.push(cursor.text());
    } else if (kind === SOURCE) {
      const [file, line, name] = [this.text(cursor.number()), cursor.number(), this.text(cursor.number())];
      const place = line ? `${file}:${line}` : file;
      this.frames.push({ label: place ? `${name} (${place})` : name, isSource: true });
    } else if (kind === NATIVE) {
      const module = this.text(cursor.number());
      this.frames.push({ label: `${module}+0x${cursor.word().toString(16)}`, isSource: false });
    } else if (kind === STACK) {
      this.callers.push(cursor.number());
      this.frameOf.push(cursor.number());
    } else {
      throw new Error("an unknown definition");
    }
  }

  /** Give a frame the name that others found for it. */
  name(number: number, label: string): void {
    const frame = this.frames[number];
    if (frame) this.frames[number] = { ...frame, label };
  }

  text(number: number): string {
    return this.texts[number] ?? "";
  }

  /** What a stack's innermost frame is called. */
  labelOf(stack: number): string {
    return this.frames[this.frameOf[stack] ?? 0]?.label ?? "unknown";
  }

  /** The stack of the caller; a caller always has a smaller number than those it calls. */
  callerOf(stack: number): number {
    const caller = this.callers[stack] ?? 0;
    return caller < stack ? caller : 0;
  }

  /** The frames of a stack by name, the innermost first. */
  framesOf(stack: number): string[] {
    const found: string[] = [];
    for (let at = stack < this.stacks ? stack : 0; at > 0; at = this.callerOf(at)) found.push(this.labelOf(at));
    return found;
  }

  /** The number of the innermost frame that is a source line, or else of the innermost frame. */
  siteOf(stack: number): number {
    if (stack >= this.stacks) return 0;
    for (let at = stack; at > 0; at = this.callerOf(at)) {
      const frame = this.frameOf[at]!;
      if (this.frames[frame]?.isSource) return frame;
    }
    return this.frameOf[stack]!;
  }
}
