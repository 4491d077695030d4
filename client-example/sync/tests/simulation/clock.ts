// A test clock for the engine, the network and TanStack Query alike.

import { notifyManager, timeoutManager } from "@tanstack/query-core";
import type { Cancel } from "../../src/core/index.ts";
import { TestClock } from "../../src/testing/clock.ts";

/** Faster than the timer of the browser-compatible default. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

export class VirtualClock extends TestClock {
  constructor() {
    super(0, settled);
  }

  /** Has TanStack Query use this clock. */
  install(): void {
    const timers: Cancel[] = [];
    timeoutManager.setTimeoutProvider({
      setTimeout: (callback, milliseconds) => timers.push(this.after(milliseconds, () => callback())) - 1,
      clearTimeout: (id) => timers[Number(id)]?.(),
      setInterval: () => -1,
      clearInterval: () => {},
    });
    notifyManager.setScheduler((callback) => queueMicrotask(callback));
  }
}
