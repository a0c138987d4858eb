/** Answers the page's questions one after the other, beside it. */
import type { Asked, Questions, Said } from "./protocol";
import { Session } from "./session";

const scope = self as unknown as {
  onmessage: ((message: MessageEvent<Asked>) => void) | null;
  postMessage(message: Said, transfer?: Transferable[]): void;
};

let session: Promise<Session> | null = null;

async function answer(asked: Asked): Promise<void> {
  const { id, name, question } = asked;
  try {
    if (name === "open") {
      session = Session.open(question as Questions["open"], (progress, what) =>
        scope.postMessage({ progress, what }),
      );
      scope.postMessage({ id, answer: (await session).opened() });
      return;
    }
    if (!session) throw new Error("nothing is open");
    const found = (await session).answer(name, question as never);
    const pixels = found && "pixels" in found ? [found.pixels] : [];
    scope.postMessage({ id, answer: found }, pixels);
  } catch (error) {
    scope.postMessage({ id, error: (error as Error).message });
  }
}

scope.onmessage = (message) => void answer(message.data);
