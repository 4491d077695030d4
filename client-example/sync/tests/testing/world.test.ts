import { QueryClient, QueryObserver } from "@tanstack/query-core";
import { describe, expect, test } from "vitest";
import { connectLibrary } from "../../src/browser/index.ts";
import { createTestWorld, type TestWorld } from "../../src/testing/index.ts";

const LIST = "query { progresses { nodes { currentChapter story { title } } } }";

interface List {
  readonly progresses: { readonly nodes: readonly { readonly currentChapter: number }[] };
}

/** A page of the world, and the chapter that it shows. */
async function open(world: TestWorld) {
  const queryClient = new QueryClient();
  const library = await connectLibrary({ ...world.options, queryClient });
  const list = library.query<List>(["list"], (minimum, signal) =>
    library.server.query(LIST, {}, minimum, signal),
  );
  const observer = new QueryObserver<unknown>(queryClient, list as never);
  observer.subscribe(() => {});
  library.restored();
  await world.clock.advance(1_000);
  const chapter = () => (observer.getCurrentResult().data as List).progresses.nodes[0]?.currentChapter;
  return { library, chapter };
}

describe("a world", () => {
  test("shows what another device does", async () => {
    const world = createTestWorld();
    await world.otherDevice.add("Emma", { currentChapter: 3 });
    const { library, chapter } = await open(world);
    expect([chapter(), library.engine.why()]).toEqual([3, "fresh"]);
    await world.otherDevice.read("Emma", 12);
    await world.clock.advance(100);
    expect([chapter(), library.engine.why()]).toEqual([12, "fresh"]);
  });

  test("loses notices until a page asks by itself", async () => {
    const world = createTestWorld();
    await world.otherDevice.add("Emma", { currentChapter: 3 });
    const { library, chapter } = await open(world);
    world.net.loseNotices();
    await world.otherDevice.read("Emma", 12);
    await world.clock.advance(30_000);
    expect(chapter()).toBe(3);
    await world.clock.advance(75_000);
    expect([chapter(), library.engine.why()]).toEqual([12, "stream buffered by a proxy; polling"]);
  });

  test("restores a backup in a new epoch", async () => {
    const world = createTestWorld();
    await world.otherDevice.add("Emma", { currentChapter: 3 });
    world.server.backUp();
    const head = await world.otherDevice.read("Emma", 12);
    world.server.restoreBackup();
    expect(world.server.library.head.epoch).toBeGreaterThan(head.epoch);
    expect(world.server.library.head.version).toBe(head.version - 1);
    expect((await world.otherDevice.find("Emma"))?.currentChapter).toBe(3);
  });

  test("repeats itself for one seed, and differs for another", async () => {
    const story = async (seed: number) => {
      const world = createTestWorld({ seed });
      await world.otherDevice.add("Emma", { storyId: world.random.uuid() });
      return world.otherDevice.find("Emma");
    };
    expect(await story(1)).toEqual(await story(1));
    expect(await story(1)).not.toEqual(await story(2));
  });

  test("says which field it does not have, rather than answer with null", async () => {
    const { fetch } = createTestWorld();
    const body = JSON.stringify({ query: "query { libraryVersion nothing }" });
    const response = await fetch("/graphql", { method: "POST", body });
    const { errors } = (await response.json()) as { errors: { message: string }[] };
    expect(errors[0]?.message).toBe('Cannot query field "nothing" on type "Query".');
  });

  test("refuses a subscription over a request", async () => {
    const { fetch } = createTestWorld();
    const body = JSON.stringify({ query: "subscription { libraryVersion }" });
    const answer = await (await fetch("/graphql", { method: "POST", body })).json();
    expect(answer).toMatchObject({ errors: [{ extensions: { code: "SUBSCRIPTION_NOT_SUPPORTED" } }] });
  });
});
