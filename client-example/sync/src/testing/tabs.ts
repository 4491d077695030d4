// Stand-ins for the locks and the channels that the tabs of a browser share.

import type { Channel, Locks } from "../browser/index.ts";

interface Waiter {
  readonly run: () => Promise<unknown>;
  readonly settle: { resolve(value: unknown): void; reject(error: unknown): void };
}

/** Web Locks, as far as this package uses them: exclusive, in order, with `signal` and `steal`. */
export class TestLocks implements Locks {
  readonly #queues = new Map<string, Waiter[]>();

  request<Result>(
    name: string,
    { signal, steal }: { readonly signal?: AbortSignal; readonly steal?: boolean },
    run: () => Promise<Result>,
  ): Promise<Result> {
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, queue);
    return new Promise<Result>((resolve, reject) => {
      const waiter: Waiter = { run, settle: { resolve: (value) => resolve(value as Result), reject } };
      signal?.addEventListener("abort", () => {
        const at = queue.indexOf(waiter);
        if (at <= 0) return;
        queue.splice(at, 1);
        reject(new DOMException("aborted", "AbortError"));
      });
      if (steal) {
        queue.shift()?.settle.reject(new DOMException("stolen", "AbortError"));
        queue.unshift(waiter);
        this.#hold(queue, waiter);
      } else if (queue.push(waiter) === 1) this.#hold(queue, waiter);
    });
  }

  #hold(queue: Waiter[], waiter: Waiter): void {
    void waiter
      .run()
      .then(waiter.settle.resolve, waiter.settle.reject)
      .finally(() => {
        if (queue[0] !== waiter) return;
        queue.shift();
        const next = queue[0];
        if (next !== undefined) this.#hold(queue, next);
      });
  }
}

/** A channel of one tab. A frozen tab receives nothing and sends nothing. */
export type TestChannel = Channel & { frozen: boolean };

/** Channels by name: a message reaches every other channel of the name. */
export class TestChannels {
  readonly #open = new Map<string, Set<TestChannel>>();

  open(name: string): TestChannel {
    const group = this.#open.get(name) ?? new Set();
    this.#open.set(name, group);
    const channel: TestChannel = {
      onmessage: null,
      frozen: false,
      postMessage: (data) => {
        if (channel.frozen) return;
        for (const other of group) {
          if (other !== channel && !other.frozen) {
            queueMicrotask(() => other.onmessage?.({ data: structuredClone(data) } as MessageEvent));
          }
        }
      },
      close: () => group.delete(channel),
    };
    group.add(channel);
    return channel;
  }
}
