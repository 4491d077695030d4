import { createTestWorld } from "../../src/testing/index.ts";
import { cases } from "./cases.ts";

cases("the test server", () => {
  const { options, net, clock, otherDevice, server } = createTestWorld({ seed: 7 });
  const statuses: number[] = [];
  const recording: typeof fetch = async (input, init) => {
    const response = await net.fetch(input, init);
    statuses.push(response.status);
    return response;
  };
  return {
    options: { ...options, fetch: recording },
    net,
    otherDevice,
    statuses,
    pass: () => clock.advance(250),
    backUp: () => server.backUp(),
    restoreBackup: () => server.restoreBackup(),
    restart: () => server.restart(),
    endSession: () => server.endSession(),
    renewSession: () => server.renewSession(),
    close: () => {},
  };
});
