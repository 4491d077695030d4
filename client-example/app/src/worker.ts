// The service worker. Its build fills in the release and the files that the app needs to start offline.

import { installWorker, type WorkerScope } from "library-sync-client/worker";

declare const __RELEASE__: string;
declare const __SHELL__: [string, ...string[]];

installWorker(self as unknown as WorkerScope, {
  release: __RELEASE__,
  shell: __SHELL__,
  title: "Your library has changed",
  icon: "/icon.svg",
});
