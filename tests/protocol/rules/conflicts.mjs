// Conflicts between devices: `base`, `onConflict`, `device` and `rewind`.
import { equal, must, unique } from "../client.mjs";

const phone = { id: "conformance-phone", name: "Phone" };
const laptop = { id: "conformance-laptop", name: "Laptop" };

/** An entry that `device` changed after the head that is returned. */
async function changed(ann, fields, before = {}) {
  const { id, libraryHead: base } = await ann.add(before);
  await ann.set(id, fields, { device: laptop });
  return { id, base };
}

export const rules = {
  "CON-1": async ({ ann }) => {
    const { id, libraryHead: base } = await ann.add();
    const { refusal, conflict } = await ann.update({ id, notes: "mine", base, device: phone });
    equal([refusal, conflict, (await ann.progress(id)).notes], [null, null, "mine"], "a change with the current base");
  },
  "CON-2": async ({ ann }) => {
    const { id, base } = await changed(ann, { notes: "theirs" });
    const { refusal } = await ann.update({ id, notes: "mine", base, device: phone });
    equal([refusal?.code, (await ann.progress(id)).notes], ["CONFLICT", "theirs"], "a field that another device changed");
  },
  "CON-3": async ({ ann }) => {
    const { id, base } = await changed(ann, { notes: "theirs" }, { notes: "old" });
    const { conflict } = await ann.update({ id, notes: "mine", base, device: phone, onConflict: "REJECT" });
    const { field, base: was, yours, theirs, device, at } = conflict?.fields?.[0] ?? {};
    equal([conflict?.resolution, field, was, yours, theirs, device?.id], ["REJECTED", "notes", "old", "mine", "theirs", laptop.id], "the conflict");
    must(!Number.isNaN(Date.parse(at)), `time of the conflict: ${at}`);
  },
  "CON-4": async ({ ann }) => {
    const { id, base } = await changed(ann, { notes: "theirs" });
    const { refusal, conflict } = await ann.update({ id, rating: 4, base });
    equal([refusal, conflict, (await ann.progress(id)).rating], [null, null, 4], "a field that nobody else changed");
  },
  "CON-5": async ({ ann }) => {
    const { id, base } = await changed(ann, { notes: "the same" });
    const { refusal, conflict } = await ann.update({ id, notes: "the same", base, device: phone });
    equal([refusal, conflict], [null, null], "a field that another device set to the same value");
  },
  "CON-6": async ({ ann }) => {
    const { id, base } = await changed(ann, { notes: "theirs" });
    const { conflict } = await ann.update({ id, notes: "mine", rating: 3, base, device: phone, onConflict: "MERGE" });
    const { notes, rating } = await ann.progress(id);
    equal([conflict?.resolution, conflict?.fields.map(({ field }) => field)], ["MERGED", ["notes"]], "the conflict");
    equal([notes, rating], ["theirs", 3], "merged fields");
  },
  "CON-7": async ({ ann }) => {
    const { id, base } = await changed(ann, { currentChapter: 9 }, { currentChapter: 2 });
    await ann.update({ id, currentChapter: 5, base, device: phone, onConflict: "MERGE" });
    equal((await ann.progress(id)).currentChapter, 9, "the merged chapter");
  },
  "CON-8": async ({ ann }) => {
    const [kept, added, mine] = [await ann.tag(), await ann.tag(), await ann.tag()];
    const { storyId, libraryHead: base } = await ann.add({ tagIds: [kept] });
    const fields = "story { tags { id } }";
    await ann.change("updateStoryWithRelations", { id: storyId, tagIds: [kept, added], device: laptop }, fields);
    const payload = await ann.change("updateStoryWithRelations", { id: storyId, tagIds: [mine], base, device: phone, onConflict: "MERGE" }, fields);
    equal(payload.story.tags.map(({ id }) => id).sort(), [added, mine].sort(), "the merged tags");
  },
  "CON-9": async ({ ann }) => {
    const { id, base } = await changed(ann, { notes: "theirs" });
    const { refusal } = await ann.update({ id, notes: "mine", base, device: phone, onConflict: "OVERWRITE" });
    equal([refusal, (await ann.progress(id)).notes], [null, "mine"], "OVERWRITE");
  },
  "CON-10": async ({ ann }) => {
    const { id, libraryHead: base } = await ann.add();
    await ann.set(id, { notes: "first" }, { device: phone });
    const { refusal } = await ann.update({ id, notes: "second", base, device: phone });
    equal([refusal, (await ann.progress(id)).notes], [null, "second"], "two changes of one device on one base");
  },
  "CON-11": async ({ ann }) => {
    const { id } = await ann.add({ notes: "stored" });
    const { epoch, version } = await ann.head();
    const { refusal } = await ann.update({ id, notes: "mine", base: `${Number(epoch) - 1}.${version}`, device: phone });
    equal([refusal?.code, (await ann.progress(id)).notes], ["CONFLICT", "stored"], "a base of another epoch");
  },
  "CON-12": async ({ ann }) => {
    const { id } = await ann.add({ notes: "stored" });
    const { epoch, version } = await ann.head();
    const { refusal } = await ann.update({ id, notes: "mine", base: `${epoch}.${version + 1_000}`, device: phone });
    equal([refusal?.code, (await ann.progress(id)).notes], ["CONFLICT", "stored"], "a base above the head");
  },
  "CON-13": async ({ ann }) => {
    const { id } = await changed(ann, { currentChapter: 9 });
    await ann.update({ id, currentChapter: 5, device: phone });
    equal((await ann.progress(id)).currentChapter, 9, "a lower chapter without a base");
  },
  "CON-14": async ({ ann }) => {
    const { id } = await changed(ann, { currentChapter: 9 });
    const { conflict } = await ann.update({ id, currentChapter: 5, device: phone });
    equal(conflict?.fields.map(({ field, yours }) => [field, yours]), [["currentChapter", 5]], "report of an ignored chapter");
  },
  "CON-15": async ({ ann }) => {
    const { id } = await changed(ann, { currentChapter: 9 });
    await ann.update({ id, currentChapter: 5, rewind: true });
    equal((await ann.progress(id)).currentChapter, 5, "a lower chapter with rewind");
  },
  "CON-16": async ({ ann }) => {
    const device = { id: unique("device") };
    const { id } = await ann.add();
    await ann.set(id, { currentChapter: 9 }, { device });
    await ann.update({ id, currentChapter: 5, device });
    equal((await ann.progress(id)).currentChapter, 5, "a lower chapter by the device that set the stored one");
  },
  "CON-17": async ({ ann }) => {
    const { id, base } = await changed(ann, { notes: "theirs" });
    const { refusal } = await ann.mutate("deleteProgress", { id, base, device: phone });
    equal([refusal?.code, (await ann.progress(id))?.id], ["CONFLICT", id], "deletion of an entry that another device changed");
  },
};
