/** Owns making and finding elements. */

type Child = Node | string | null;
type Attributes = Record<string, string | ((event: Event) => void)>;

/** The element of this id, which the page has. */
export function byId<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no ${id}`);
  return found as T;
}

/** A new element; attributes that are functions are called on events of their names. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made: HTMLElement = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "string") made.setAttribute(name, value);
    else made.addEventListener(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made as HTMLElementTagNameMap[K];
}

/** Rows of a term and what is said of it; those without are left out. */
export function terms(rows: readonly (readonly [string, Child])[]): HTMLElement {
  const list = make("dl", { class: "terms" });
  for (const [term, said] of rows) {
    if (said !== null && said !== "") list.append(make("dt", {}, term), make("dd", {}, said));
  }
  return list;
}

/** Asks for the newest thing only: while an answer is awaited, of all that is wanted the last is kept. */
export class Newest<T> {
  private isBusy = false;
  private wanted: { value: T } | null = null;

  constructor(private readonly ask: (value: T) => Promise<void>) {}

  want(value: T): void {
    this.wanted = { value };
    if (!this.isBusy) void this.run();
  }

  private async run(): Promise<void> {
    this.isBusy = true;
    try {
      while (this.wanted) {
        const { value } = this.wanted;
        this.wanted = null;
        await this.ask(value);
      }
    } finally {
      this.isBusy = false;
    }
  }
}
