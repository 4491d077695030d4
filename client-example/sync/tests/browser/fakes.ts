// An EventSource that a test drives.

import type { EventSourceLike } from "../../src/browser/index.ts";

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
