// The service worker. Its build fills in the release and the files that the app needs to start offline.

import {
  installWorker,
  type PushPayload,
  registerEndpoint,
  registeredDevice,
  Server,
  type WorkerScope,
  warmCopy,
} from "library-sync-client/worker";
import { COPY_SHAPE, loadChanges } from "./changes.ts";

declare const __RELEASE__: string;
declare const __SHELL__: [string, ...string[]];

installWorker(self as unknown as WorkerScope, {
  release: __RELEASE__,
  shell: __SHELL__,
  title: "Your library has changed",
  icon: "/icon.svg",
  warm,
  resubscribed: async (subscription) => {
    const device = await registeredDevice();
    if (device !== null) await registerEndpoint(new Server(), device, subscription);
  },
});

/** The message names the entries that changed: loads what changed since the copy, and nothing else. */
async function warm({ warm: entries }: PushPayload): Promise<void> {
  if (Array.isArray(entries) && entries.length > 0) {
    await warmCopy({ copyShape: COPY_SHAPE, load: loadChanges });
  }
}
