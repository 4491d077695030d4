import { EventSource } from "eventsource";
import { type EventSourceLike, eventSource, systemClock } from "../../src/browser/index.ts";
import { OtherDevice, TestChannels, TestLocks, TestNet } from "../../src/testing/index.ts";
import { cases } from "./cases.ts";
import { RealServer } from "./real_server.ts";

cases("the real server", async () => {
  const server = await RealServer.start();
  let isSignedIn = true;
  const headers = () => (isSignedIn ? server.headers : { authorization: "Bearer ended" });
  const open = (address: string) =>
    new EventSource(address, {
      fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...headers() } }),
    }) as unknown as EventSourceLike;
  const net = new TestNet(fetch, eventSource(`${server.url}/api/library-version-events`, open));
  const statuses: number[] = [];
  const recording: typeof fetch = async (input, init) => {
    const response = await net.fetch(input, init);
    statuses.push(response.status);
    return response;
  };
  const [locks, channels] = [new TestLocks(), new TestChannels()];
  return {
    options: {
      user: "ann",
      url: server.url,
      headers,
      fetch: recording,
      transport: net.transport,
      clock: systemClock,
      locks,
      openChannel: (name: string) => channels.open(name),
    },
    net,
    otherDevice: new OtherDevice(server.send),
    statuses,
    pass: () => new Promise((done) => setTimeout(done, 25)),
    backUp: () => server.backUp(),
    restoreBackup: () => server.restoreBackup(),
    restart: async () => {
      await server.kill();
      await server.start();
    },
    endSession: () => {
      isSignedIn = false;
    },
    renewSession: () => {
      isSignedIn = true;
    },
    close: () => server.stop(),
  };
});
