// The names of the devices that make changes, while the sync panel is open: a GraphQL subscription over one response.
//
// The page's own stream brings versions only, which is all that the sync needs. This one is open while somebody looks.

import { useEffect, useState } from "react";
import { Events } from "./documents.ts";
import type { EventsSubscription } from "./generated/graphql.ts";

/** The device of each version that was seen. Kept for the page's life. */
const devices = new Map<number, string>();

/** The devices by version. Listens while `isOpen`. */
export function useDevices(isOpen: boolean): ReadonlyMap<number, string> {
  const [, setSeen] = useState(0);
  useEffect(() => {
    if (!isOpen) return undefined;
    const abort = new AbortController();
    const seen = ({ libraryEvents: { kind, version, device } }: EventsSubscription) => {
      if (kind !== "CHANGED") return;
      devices.set(version, device?.name ?? "another device");
      setSeen(version);
    };
    // Without the stream the panel says "another device", which is true as well.
    listen(abort.signal, seen).catch(() => {});
    return () => abort.abort();
  }, [isOpen]);
  return devices;
}

async function listen(signal: AbortSignal, seen: (event: EventsSubscription) => void): Promise<void> {
  const response = await fetch("/graphql", {
    method: "POST",
    credentials: "same-origin",
    headers: { "content-type": "application/json", accept: "text/event-stream" },
    body: JSON.stringify({ query: String(Events) }),
    signal,
  });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = (await reader?.read()) ?? { value: undefined, done: true };
    if (done) return;
    text += value;
    const messages = text.split("\n\n");
    text = messages.pop() ?? "";
    for (const message of messages) {
      const data = /^data: ?(.*)$/m.exec(message)?.[1];
      const event = data === undefined ? null : (JSON.parse(data) as { data?: EventsSubscription | null });
      if (event?.data) seen(event.data);
    }
  }
}
