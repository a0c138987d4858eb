/** Owns the demo's page: the step that is shown, the block that is chosen, keys and buttons. */
import { byId, make, terms } from "../dom";
import { blockPanel } from "./block";
import { CodePanel } from "./code";
import { HeapPicture } from "./heap";
import { indexPanel } from "./search";
import { addressName } from "./names";
import type { Block, Session, Step, SystemCall } from "./session";

const ENOMEM = 12;
const KEYS: readonly (readonly [string, string])[] = [
  ["← →", "the previous call, the next one"],
  ["home end", "the first call, the last one"],
  ["↑ ↓", "the previous block, the next one"],
  ["D", "with the functions that read and write headers, or without"],
  ["T", "light, dark"],
];

export class Demo {
  private readonly heap: HeapPicture;
  private readonly code: CodePanel;
  private readonly slider = byId<HTMLInputElement>("slider");
  private now = 0;
  private chosen = 0;

  constructor(private readonly session: Session) {
    this.heap = new HeapPicture(session, (block) => this.choose(block));
    this.code = new CodePanel(session);
    this.slider.max = String(session.steps.length - 1);
    byId("keys").append(make("h2", {}, "Keys"), terms(KEYS));
    this.listen();
    this.go(startFrom(location.hash) - 1);
  }

  private get step(): Step {
    return this.session.steps[this.now]!;
  }

  private go(to: number): void {
    this.now = Math.max(0, Math.min(this.session.steps.length - 1, to));
    const { step, now } = this;
    this.slider.value = String(now);
    byId<HTMLButtonElement>("back").disabled = now === 0;
    byId<HTMLButtonElement>("forward").disabled = now === this.session.steps.length - 1;
    byId("place").textContent = `call ${now + 1} of ${this.session.steps.length}`;
    this.tell(step);
    this.chosen = blockOf(step);
    this.code.show(step);
    this.draw();
    document.documentElement.dataset.step = String(now + 1);
  }

  private tell(step: Step): void {
    byId("title").textContent = step.title;
    const [before = "", called = before] = splitCall(step.call);
    byId("call").replaceChildren(
      make("code", {}, before !== called ? make("span", { class: "name" }, before) : null, called),
      make("span", { class: "answer" }, this.answerText(step)),
    );
    byId("says").textContent = step.says;
    byId("happened").replaceChildren(...step.happened.map(({ says }) => make("li", {}, says)));
    for (const call of step.systemCalls) {
      byId("happened").append(make("li", { class: "system-call" }, this.systemCall(step, call)));
    }
  }

  private answerText(step: Step): string {
    if (step.answer === null) return "";
    if (!step.answer) return `→ NULL, errno ${step.errno === ENOMEM ? "ENOMEM" : step.errno}`;
    return `→ ${addressName(this.session, step.end, step.answer)}`;
  }

  private systemCall(step: Step, { name, arguments: given, result }: SystemCall): HTMLElement {
    const said = given.map((one) =>
      name === "brk" && one ? addressName(this.session, step.end, one) : `0x${one.toString(16)}`,
    );
    const answer = result === null ? "refused" : addressName(this.session, step.end, result);
    return make("span", {}, "system call ", make("code", {}, `${name}(${said.join(", ")})`), ` → ${answer}`);
  }

  private choose(block: Block): void {
    this.chosen = block.at;
    this.draw();
  }

  private draw(): void {
    const { step, session } = this;
    const block = step.blocks.find(({ at }) => at === this.chosen) ?? step.blocks[0]!;
    this.heap.show(step, block.at);
    byId("block").replaceChildren(blockPanel(session, step, block));
    byId("index").replaceChildren(indexPanel(session, step));
  }

  private nextBlock(by: number): void {
    const { blocks } = this.step;
    const at = blocks.findIndex((block) => block.at === this.chosen);
    this.choose(blocks[Math.max(0, Math.min(blocks.length - 1, at + by))]!);
  }

  private switchTheme(): void {
    const { dataset } = document.documentElement;
    dataset.theme = dataset.theme === "light" ? "dark" : "light";
  }

  private listen(): void {
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    byId("back").addEventListener("click", () => this.go(this.now - 1));
    byId("forward").addEventListener("click", () => this.go(this.now + 1));
    byId("theme").addEventListener("click", () => this.switchTheme());
    byId("help").addEventListener("click", () => byId<HTMLDialogElement>("keys").showModal());
    byId("keys").addEventListener("click", () => byId<HTMLDialogElement>("keys").close());
    window.addEventListener("keydown", (event) => this.onKey(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", ({ matches }) => {
      document.documentElement.dataset.theme = matches ? "dark" : "light";
    });
  }

  private onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || byId<HTMLDialogElement>("keys").open) return;
    const isScrolling = ["passages", "source"].some((id) => byId(id).contains(event.target as Node));
    if (isScrolling && /^(Arrow(Up|Down)|Home|End)$/.test(event.key)) return;
    const actions: Record<string, () => void> = {
      ArrowLeft: () => this.go(this.now - 1),
      ArrowRight: () => this.go(this.now + 1),
      Home: () => this.go(0),
      End: () => this.go(this.session.steps.length - 1),
      ArrowUp: () => this.nextBlock(-1),
      ArrowDown: () => this.nextBlock(1),
      d: () => byId("details").click(),
      t: () => this.switchTheme(),
      "?": () => byId<HTMLDialogElement>("keys").showModal(),
    };
    const does = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!does) return;
    event.preventDefault();
    does();
  }
}

/** The block that a step is about: the one it gave, or the one it did something to. */
function blockOf({ answer, happened, blocks }: Step): number {
  const isBlock = (at: number | null): boolean => blocks.some((block) => block.at === at);
  if (answer && isBlock(answer)) return answer;
  return happened.findLast(({ begin }) => isBlock(begin))?.begin ?? blocks[0]!.at;
}

/** A call, and the name that its answer gets. */
function splitCall(call: string): string[] {
  const at = call.indexOf("= ") + 2;
  return at > 1 ? [call.slice(0, at), call.slice(at)] : [call];
}

/** The call that the address of the page names, as `#step=5`. */
function startFrom(hash: string): number {
  return Number(/step=(\d+)/.exec(hash)?.[1] ?? 1);
}
