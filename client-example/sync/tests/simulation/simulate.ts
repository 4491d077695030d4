// One random schedule: two or three devices, a bad network, and a quiet end after which everything must be fresh.

import { Random } from "../../src/testing/random.ts";
import { VirtualClock } from "./clock.ts";
import { Device } from "./device.ts";
import type { Weather } from "./network.ts";
import { SimulatedServer } from "./server.ts";

const STEPS = 40;
const QUIET_MS = 150_000;

/** Runs the schedule of a seed. Returns the first rule that was broken, or null. */
export async function simulate(seed: number): Promise<string | null> {
  const random = new Random(seed);
  const clock = new VirtualClock();
  clock.install();
  const weather: Weather = {
    loss: random.pick([0, 0.1, 0.3]),
    latency: random.pick([50, 400, 3_000]),
    serverUp: true,
    replicaLag: random.pick([0, 0.3]),
    eventLoss: random.pick([0, 0.3, 1]),
    eventRepeat: random.pick([0, 0.3]),
  };
  const server = new SimulatedServer();
  let fault: string | null = null;
  const broken = (rule: string) => {
    fault ??= `${rule} (at ${clock.now()} ms)`;
  };
  const world = { clock, random, weather, server, broken };
  const devices = ["phone", "laptop", "tablet"]
    .slice(0, random.between(1, 3))
    .map((name) => new Device(name, world));
  for (const device of devices) await device.open();

  const schedule = new Schedule(devices, server, weather, random);
  for (let step = 0; step < STEPS && fault === null; step += 1) {
    await schedule.step();
    await clock.advance(random.pick([0, 10, 100, 1_000, 10_000]));
  }
  if (fault === null) await end(devices, server, weather, clock, broken);
  for (const device of devices) device.crash();
  return fault;
}

/** The network heals, and everything must become fresh, and then stay quiet. */
async function end(
  devices: readonly Device[],
  server: SimulatedServer,
  weather: Weather,
  clock: VirtualClock,
  broken: (rule: string) => void,
): Promise<void> {
  Object.assign(weather, {
    loss: 0,
    latency: 100,
    serverUp: true,
    replicaLag: 0,
    eventLoss: 0,
    eventRepeat: 0,
  });
  for (const device of devices) {
    if (!device.isOpen) await device.open();
    device.network.thaw();
    device.setSignedIn(true);
    device.setOnline(true);
  }
  await clock.advance(QUIET_MS);
  for (const device of devices) {
    const fault = device.fault();
    if (fault !== null) broken(fault);
    for (const mark of device.owed()) {
      const times = server.written.get(mark) ?? 0;
      if (times !== 1) broken(`${mark} was made ${times} times`);
    }
  }
  const loads = devices.map((device) => device.loads);
  await clock.advance(QUIET_MS);
  devices.forEach((device, index) => {
    if (device.loads !== loads[index]) broken(`${device.name} refetches though nothing changes`);
  });
}

/** Chooses what happens next. */
class Schedule {
  readonly #devices: readonly Device[];
  readonly #server: SimulatedServer;
  readonly #weather: Weather;
  readonly #random: Random;
  #others = 0;

  constructor(devices: readonly Device[], server: SimulatedServer, weather: Weather, random: Random) {
    this.#devices = devices;
    this.#server = server;
    this.#weather = weather;
    this.#random = random;
  }

  async step(): Promise<void> {
    const random = this.#random;
    const device = random.pick(this.#devices);
    const roll = random.between(1, 100);
    if (roll <= 25) this.#otherWrite();
    else if (roll <= 45) await device.change();
    else if (roll <= 50) for (let times = random.between(2, 8); times > 0; times -= 1) this.#otherWrite();
    else if (roll <= 60) device.setOnline(!device.network.online);
    else if (roll <= 64) device.network.freeze();
    else if (roll <= 70) device.network.thaw();
    else if (roll <= 75) device.persist();
    else if (roll <= 79) device.crash();
    else if (roll <= 84) await (device.isOpen ? device.change() : device.open());
    else if (roll <= 87) device.hint(this.#lie());
    else if (roll <= 90) this.#weather.serverUp = !this.#weather.serverUp;
    else if (roll <= 92) device.setSignedIn(!device.network.signedIn);
    else if (roll <= 93) await device.wipe();
    else if (roll <= 95) this.#restore();
    else if (roll <= 97) device.wake();
    else device.caughtUp();
  }

  #otherWrite(): void {
    this.#others += 1;
    this.#server.write(`other-${this.#others}`, { marks: [`other:${this.#others}`] });
  }

  /** A hint may name a head that is old, far ahead, or of an epoch that does not exist. */
  #lie() {
    const { epoch, version } = this.#server.head;
    return { epoch: epoch + this.#random.between(-1, 1), version: version + this.#random.between(-3, 50) };
  }

  #restore(): void {
    this.#server.restore(this.#random.between(1, 4), this.#random.chance(0.5));
  }
}
