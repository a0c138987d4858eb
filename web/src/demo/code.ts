/** Owns the panel of the code: the engine's functions that a call went through, and their lines that ran. */
import { byId, make } from "../dom";
import { countText } from "../words";
import { passageText } from "./names";
import type { Passage, Session, Step } from "./session";

const DEEPEST = 9; // calls within calls that are indented

export class CodePanel {
  private step: Step | null = null;
  private chosen = 0;
  private readonly details = byId<HTMLInputElement>("details");

  constructor(private readonly session: Session) {
    this.details.addEventListener("change", () => this.draw());
  }

  show(step: Step): void {
    this.step = step;
    this.chosen = step.about;
    this.draw();
  }

  private draw(): void {
    const { step, session } = this;
    if (!step) return;
    const { functions } = session;
    const shown = [...step.passages.entries()].filter(
      ([number, passage]) =>
        this.details.checked || number === this.chosen || !functions[passage.function]!.isDetail,
    );
    byId("code-title").textContent = `The code that ran: ${countText(step.passages.length, "call")}`;
    byId("passages").replaceChildren(...shown.map(([number, passage]) => this.entry(step, number, passage)));
    this.bringIntoView();
    this.showSource(step.passages[this.chosen]!);
  }

  /** Scrolls the list alone, and not the page. */
  private bringIntoView(): void {
    const list = byId("passages");
    const entry = list.querySelector(".chosen")?.getBoundingClientRect();
    const { top, bottom } = list.getBoundingClientRect();
    if (!entry || (entry.top >= top && entry.bottom <= bottom)) return;
    list.scrollTop += entry.top - (top + bottom) / 2;
  }

  private entry(step: Step, number: number, passage: Passage): HTMLElement {
    const { call, result } = passageText(this.session, step.end, passage);
    const choose = (): void => {
      this.chosen = number;
      this.draw();
    };
    return make(
      "li",
      { class: number === this.chosen ? "chosen" : "" },
      make(
        "button",
        {
          type: "button",
          style: `padding-left: ${6 + 10 * Math.min(passage.depth, DEEPEST)}px`,
          "aria-pressed": String(number === this.chosen),
          click: choose,
        },
        call,
        result && make("span", { class: "result" }, ` → ${result}`),
      ),
    );
  }

  private showSource(passage: Passage): void {
    const { layer, line, source } = this.session.functions[passage.function]!;
    const ran = new Set(passage.lines);
    byId("file").textContent = `engine/${layer}, line ${line}; lines that ran are marked`;
    const lines = source
      .trimEnd()
      .split("\n")
      .map((text, at) => {
        const number = line + at;
        const isRun = ran.has(number);
        return make(
          "span",
          { class: isRun ? "ran" : "" },
          make("i", {}, `${isRun ? "▸" : " "}${String(number).padStart(4)} `),
          text,
        );
      });
    byId("source").replaceChildren(...lines);
    byId("source").scrollTop = 0;
  }
}
