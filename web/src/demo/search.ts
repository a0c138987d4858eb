/** Owns the panel of free blocks: where they are kept, and which of them a search took and why. */
import { make } from "../dom";
import { countText, numberText } from "../words";
import { addressName } from "./names";
import type { Candidate, Search, Session, Step } from "./session";

const KEPT = { "": "", waiting: "waiting", list: "bin, list", tree: "bin, tree" };

/** The search of a call, if it made one, and the free blocks after it. */
export function indexPanel(session: Session, step: Step): HTMLElement {
  const name = (at: number): string => addressName(session, step.end, at);
  const panel = make("div", {});
  if (step.search) panel.append(searchPart(step.search, name));
  const free = step.blocks.filter(({ status }) => status === "free");
  const rows = free
    .toSorted((one, other) => one.size - other.size || one.at - other.at)
    .map(({ at, size, bin, kept }) =>
      row([name(at), numberText(size), kept === "waiting" ? "–" : String(bin), KEPT[kept]]),
    );
  panel.append(make("h2", {}, "Free blocks after the call"));
  if (rows.length) panel.append(table("after", ["block", "bytes", "bin", "kept in"], rows));
  else panel.append(make("p", { class: "hint" }, "There are none."));
  return panel;
}

function searchPart(search: Search, name: (at: number) => string): HTMLElement {
  const { wanted, bin, bins, candidates, chosen } = search;
  const rows = candidates.map((candidate) => candidateRow(candidate, search, name));
  const looked = bins.length
    ? `It looked in bin ${bins.join(", then ")}: the first from there on that is not empty.`
    : "All bins from there on are empty.";
  const none = chosen ? "" : " No free block is large enough.";
  return make(
    "div",
    {},
    make("h2", {}, `The search for ${countText(wanted, "byte")}`),
    make("p", {}, `Blocks of that size are kept in bin ${bin}. ${looked}${none}`),
    candidates.length
      ? table("candidates", ["free block", "bytes", "bin", "left over", ""], rows)
      : make("p", { class: "hint" }, "There was no free block."),
  );
}

function candidateRow(
  { at, size, bin }: Candidate,
  { wanted, chosen }: Search,
  name: (at: number) => string,
): HTMLElement {
  const isFit = size >= wanted;
  const why = at === chosen ? "best fit" : isFit ? "larger than needed" : "too small";
  const made = row([name(at), numberText(size), String(bin), isFit ? numberText(size - wanted) : "–", why]);
  made.className = at === chosen ? "chosen" : isFit ? "fits" : "small";
  made.dataset.at = String(at);
  return made;
}

function row(cells: readonly string[]): HTMLTableRowElement {
  return make("tr", {}, ...cells.map((cell) => make("td", {}, cell)));
}

function table(id: string, head: readonly string[], rows: readonly HTMLElement[]): HTMLElement {
  return make("table", { id, class: "blocks" }, make("thead", {}, row(head)), make("tbody", {}, ...rows));
}
