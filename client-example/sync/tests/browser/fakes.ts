// Stand-ins for parts of a browser: locks and channels that several "tabs" of one test share, and an EventSource.

import type { Channel, EventSourceLike, Locks } from "../../src/browser/index.ts";

interface Waiter {
  readonly run: () => Promise<unknown>;
  readonly settle: { resolve(value: unknown): void; reject(error: unknown): void };
}

/** Web Locks, as far as this package uses them: exclusive, in order, with `signal` and `steal`. */
export class FakeLocks implements Locks {
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

/** Channels by name: a message reaches every other channel of the name. */
export class FakeChannels {
  readonly #open = new Map<string, Set<Channel & { frozen: boolean }>>();

  open(name: string): Channel & { frozen: boolean } {
    const group = this.#open.get(name) ?? new Set();
    this.#open.set(name, group);
    const channel = {
      onmessage: null as Channel["onmessage"],
      /** A frozen tab receives nothing and sends nothing. */
      frozen: false,
      postMessage: (data: unknown) => {
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

/** An EventSource that a test drives. */
export class FakeEventSource implements EventSourceLike {
  static readonly opened: FakeEventSource[] = [];
  readonly #listeners = new Map<string, ((event: { data?: unknown; lastEventId?: string }) => void)[]>();
  readyState = 0;

  constructor(readonly url: string) {
    FakeEventSource.opened.push(this);
  }

  static get open(): FakeEventSource[] {
    return FakeEventSource.opened.filter(({ readyState }) => readyState !== 2);
  }

  addEventListener(type: string, listener: (event: { data?: unknown; lastEventId?: string }) => void): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  close(): void {
    this.readyState = 2;
  }

  emit(type: string, event: { data?: unknown; lastEventId?: string } = {}): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event);
  }

  /** A message with this head, as `connected`, an update and a heartbeat have it. */
  message(head: string): void {
    this.readyState = 1;
    this.emit("message", { lastEventId: head, data: "{}" });
  }

  /** The server answered with another status than 200: a browser gives up. */
  refuse(): void {
    this.readyState = 2;
    this.emit("error");
  }
}
