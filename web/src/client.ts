/** Owns the worker as the page sees it: questions that are promises of answers. */
import type { Answers, Name, Questions, Said } from "./protocol";
import HeapWorker from "./worker?worker&inline";

interface Waiting {
  resolve(answer: never): void;
  reject(error: Error): void;
}

export class Client {
  private readonly worker = new HeapWorker();
  private readonly waiting = new Map<number, Waiting>();
  private next = 0;

  constructor(progress: (share: number, what: string) => void) {
    this.worker.onmessage = (message: MessageEvent<Said>) => {
      const said = message.data;
      if ("progress" in said) {
        progress(said.progress, said.what);
        return;
      }
      const waiting = this.waiting.get(said.id);
      this.waiting.delete(said.id);
      if ("error" in said) waiting?.reject(new Error(said.error));
      else waiting?.resolve(said.answer as never);
    };
    this.worker.onerror = (event) => {
      for (const waiting of this.waiting.values()) waiting.reject(new Error(event.message));
      this.waiting.clear();
    };
  }

  ask<N extends Name>(name: N, question: Questions[N]): Promise<Answers[N]> {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, name, question });
    });
  }
}
