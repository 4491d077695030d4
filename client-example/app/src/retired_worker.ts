// Takes the service worker away: serve the build of this file as /sw.js.

import { retireWorker, type WorkerScope } from "library-sync-client/worker";

retireWorker(self as unknown as WorkerScope);
