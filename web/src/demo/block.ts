/** Owns the panel of a block: its parts and the fields of its header, drawn to scale, and what they say. */
import { make } from "../dom";
import { numberText } from "../words";
import { blockText, kindOf } from "./heap";
import { addressName } from "./names";
import type { Block, Field, Session, Step } from "./session";
import { LONGEST, paddingOf } from "./strip";

const PER_LINE = 16; // bytes of a header
const MOST_PADDING = 16; // of a block in which it is drawn

/** What is known of a block. */
export function blockPanel(session: Session, step: Step, block: Block): HTMLElement {
  const where = addressName(session, step.end, block.at);
  const title = `${block.name ? `${block.name}: the` : "The"} block at ${where}`;
  return make(
    "div",
    {},
    make("h2", {}, title),
    make("p", {}, `${blockText(block)}.${block.isTop ? " It is the last one, the top of the heap." : ""}`),
    partsBar(session, block),
    make("p", { class: "hint" }, "Its header, 16 bytes a line:"),
    headerDrawing(session, block),
    fieldTable(session, block),
  );
}

/** Header, payload and padding, to scale if the payload is short enough. */
function partsBar(session: Session, block: Block): HTMLElement {
  const padding = paddingOf(block);
  const payload = block.size - padding;
  const isCut = block.size > LONGEST;
  const drawn = isCut ? LONGEST : payload;
  const grow = (part: string, share: number, text: string, said = text): HTMLElement =>
    make("span", { class: `${part} ${kindOf(block)}`, style: `flex-grow: ${share}`, title: said }, text);
  const parts = [grow("header", session.header, `header ${session.header}`)];
  const asked = block.asked === null ? "payload" : "requested";
  parts.push(grow(isCut ? "payload cut" : "payload", drawn, `${asked} ${numberText(payload)}`));
  if (padding) {
    const share = isCut ? MOST_PADDING : padding;
    parts.push(grow("padding", share, String(padding), `padding ${padding}`));
  }
  return make("div", { class: "parts" }, ...parts);
}

function headerDrawing(session: Session, block: Block): HTMLElement {
  const drawing = make("div", { class: "header-bytes" });
  for (const field of block.fields) {
    const place = [
      `left: ${(100 * (field.offset % PER_LINE)) / PER_LINE}%`,
      `width: ${(100 * field.width) / PER_LINE}%`,
      `top: ${Math.floor(field.offset / PER_LINE) * 26}px`,
    ];
    const text = field.width > 1 ? field.name : "";
    drawing.append(
      make("span", { style: place.join("; "), title: `${placeText(session, field)} ${field.name}` }, text),
    );
  }
  return drawing;
}

function fieldTable(session: Session, block: Block): HTMLElement {
  const rows = block.fields.map((field) =>
    make(
      "tr",
      {},
      make("td", {}, placeText(session, field)),
      make("td", {}, String(field.width)),
      make("th", { scope: "row" }, field.name),
      make("td", {}, make("code", {}, field.value)),
      make("td", {}, field.says),
    ),
  );
  const head = ["offset", "bytes", "field", "value", ""].map((word) => make("td", {}, word));
  return make(
    "table",
    { class: "fields" },
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...rows),
  );
}

/** Where a field is, from the payload. */
function placeText({ header }: Session, { offset }: Field): string {
  return `−${header - offset}`;
}
