/** Owns how addresses and values of the session are written. */
import { numberText } from "../words";
import type { Passage, Session, Value } from "./session";

/** From here on a number is no size in this session. */
const FAR = 2 ** 40;
/** Arguments that are addresses of the library's own memory. */
const CELLS = new Set(["bitmap", "bits", "cell", "figures", "head", "own", "root"]);

/** An address: in the heap from its beginning, as the document has it. */
export function addressName(session: Session, end: number, address: number): string {
  const isInHeap = address >= session.start && address <= end;
  return isInHeap ? `+0x${(address - session.start).toString(16)}` : `0x${address.toString(16)}`;
}

function valueText(session: Session, end: number, name: string, value: Value): string {
  if (typeof value !== "number") return String(value);
  return value >= FAR || CELLS.has(name) ? addressName(session, end, value) : numberText(value);
}

/** `take_best_fit(size 56) → +0x1b8`. */
export function passageText(session: Session, end: number, passage: Passage): { call: string; result: string } {
  const { name } = session.functions[passage.function]!;
  const said = passage.arguments.map(([word, value]) => `${word} ${valueText(session, end, word, value)}`);
  const { result } = passage;
  return {
    call: `${name}(${said.join(", ")})`,
    result: result === null ? "" : valueText(session, end, "", result),
  };
}
