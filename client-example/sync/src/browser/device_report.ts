// What a request says about this device, so that its owner and the operator see why it is not up to date.

import { formatHead, type Head } from "../core/index.ts";
import { isWaiting, type OutboxEntry } from "../outbox/index.ts";

/** What is known of this device when a request is sent. */
export interface DeviceFacts {
  readonly id: string;
  /** Name and version of the app. */
  readonly client: string | undefined;
  /** The head that the screen reflects. */
  readonly applied: Head | null;
  readonly entries: readonly OutboxEntry[];
  /** The code with which the server deferred the oldest change. */
  readonly deferred: string | null;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** The headers that report a device. */
export function deviceHeaders({
  id,
  client,
  applied,
  entries,
  deferred,
  now,
}: DeviceFacts): Record<string, string> {
  return {
    "x-device-id": id,
    "x-library-clock": String(now),
    "x-library-pending": pending(entries.filter(isWaiting), deferred),
    ...(client === undefined ? {} : { "x-library-client": client }),
    ...(applied === null ? {} : { "x-library-applied": formatHead(applied) }),
  };
}

/** `count;oldest;code`, or `0`. */
function pending(waiting: readonly OutboxEntry[], deferred: string | null): string {
  if (waiting.length === 0) return "0";
  const oldest = Math.min(...waiting.map(({ madeAt }) => madeAt));
  const code = deferred !== null && /^[A-Z0-9_]{1,60}$/.test(deferred) ? `;${deferred}` : "";
  return `${waiting.length};${oldest}${code}`;
}
