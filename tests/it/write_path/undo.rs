//! The library at earlier versions, undo and restore: random operations against snapshots, and single cases.
//!
//! A failure of a random run prints its seed; `LIBRARY_SYNC_TEST_SEED=<n>` repeats it, and
//! `LIBRARY_SYNC_TEST_WRITES=<n>` sets its length.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use library_sync::{library::Retention, version::UserId};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::support::test_app::{
    Db, TestApp, TestDatabase, TestProcess, TestUser, on_each_database,
};

/// Number of writes of a random run, unless the environment sets it.
const WRITES: usize = 150;

/// The rows of a library with their fields, by kind and id.
pub type Snapshot = BTreeMap<String, Map<String, Value>>;

const STORY: &str = "title author url source publicationStatus description summary chapterCount wordCount isNsfw \
    tags { id } fandoms { id }";
const PROGRESS: &str = "storyId createdAt readingStatus currentChapter rating notes";

/// The rows of a response. Sets of labels are sorted.
fn rows(entries: &Value, id: &str, labels: &Value) -> Snapshot {
    let mut rows = Snapshot::new();
    for entry in entries.as_array().unwrap() {
        let mut fields = entry.as_object().unwrap().clone();
        let key = format!("entry {}", fields.remove(id).unwrap().as_str().unwrap());
        if let Some(Value::Object(story)) = fields.remove("story") {
            fields.extend(story);
        }
        for set in ["tags", "fandoms"] {
            let ids = fields[set].as_array().unwrap().iter();
            let ids: BTreeSet<_> = ids
                .map(|label| label["id"].as_str().unwrap().to_owned())
                .collect();
            fields[set] = json!(ids);
        }
        rows.insert(key, fields);
    }
    for set in ["tags", "fandoms"] {
        for label in labels[set].as_array().unwrap() {
            let mut fields = label.as_object().unwrap().clone();
            let id = fields.remove("id").unwrap();
            rows.insert(format!("{set} {}", id.as_str().unwrap()), fields);
        }
    }
    rows
}

/// Fails with the rows that differ.
#[track_caller]
pub fn assert_same(found: &Snapshot, expected: &Snapshot, what: &str) {
    let keys: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    let differ = keys
        .into_iter()
        .filter(|key| found.get(*key) != expected.get(*key));
    let differ: Vec<_> = differ
        .map(|key| {
            let [found, expected] = [found, expected].map(|rows| json!(rows.get(key)));
            format!("{key}:\n  found    {found}\n  expected {expected}")
        })
        .collect();
    assert!(differ.is_empty(), "{what}:\n{}", differ.join("\n"));
}

/// The current library.
pub async fn now(ann: &TestUser<'_>) -> (i64, Snapshot) {
    let query = format!(
        "{{ libraryVersion progresses(first: 100) {{ nodes {{ id {PROGRESS} story {{ {STORY} }} }} pageInfo {{ hasNextPage }} }}
           tags {{ id name }} fandoms {{ id name }} }}"
    );
    let response = ann.ask(&query, json!({})).await;
    assert_eq!(response["progresses"]["pageInfo"]["hasNextPage"], false);
    let version = response["libraryVersion"].as_i64().unwrap();
    (
        version,
        rows(&response["progresses"]["nodes"], "id", &response),
    )
}

/// The library as of a version, read in pages of three entries.
pub async fn at(ann: &TestUser<'_>, version: i64) -> Snapshot {
    let query = format!(
        "query ($version: Int!, $after: ID) {{ libraryAt(version: $version) {{
           entries(first: 3, after: $after) {{ nodes {{ progressId {PROGRESS} {STORY} }} endCursor }} }} }}"
    );
    let (mut entries, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = ann
            .ask(&query, json!({"version": version, "after": after}))
            .await;
        let page = &page["libraryAt"]["entries"];
        entries.extend(page["nodes"].as_array().unwrap().iter().cloned());
        after = page["endCursor"].clone();
        if after.is_null() {
            break;
        }
    }
    let query = "query ($version: Int!) { libraryAt(version: $version) { tags { id name } fandoms { id name } } }";
    let labels = ann.ask(query, json!({"version": version})).await;
    rows(&entries.into(), "progressId", &labels["libraryAt"])
}

/// Gives a story an address that another story has, with a fragment, as an older app's story of the same address has it.
async fn share_address(ann: &TestUser<'_>, url: &str, shared: &str) {
    let sql = format!(
        "UPDATE topaz_story SET url = '{shared}', url_typed = '{shared}' WHERE url = '{url}'"
    );
    ann.app.db.execute(&sql).await;
}

pub async fn undo(ann: &TestUser<'_>, input: Value) -> Value {
    let fields = "changedRowCount conflict { resolution fields { id field base yours theirs device { id } } }";
    ann.mutate("undo", "UndoInput", input, fields).await
}

pub async fn restore(ann: &TestUser<'_>, input: Value) -> Value {
    let fields = "changedRowCount conflict { resolution fields { id field base yours theirs device { id } } }";
    ann.mutate("restoreLibrary", "RestoreLibraryInput", input, fields)
        .await
}

on_each_database! {
    async fn every_version_can_be_read_undone_and_restored(db: Db) {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
        let seed = number("LIBRARY_SYNC_TEST_SEED").unwrap_or_else(|| fastrand::u64(..));
        let writes = number("LIBRARY_SYNC_TEST_WRITES").map_or(WRITES, |writes| usize::try_from(writes).unwrap());
        // Printed only if the test fails.
        println!("LIBRARY_SYNC_TEST_SEED={seed}");
        let app = TestApp::start_with(db, &["--max-user-rate", "0", "--max-address-rate", "0"]).await;
        let mut run = Run::new(app.user("ann"), Rng::with_seed(seed)).await;
        while run.snapshots.len() <= writes {
            run.step().await;
        }
        let (last, present) = now(&run.ann).await;
        run.device.pull(&run.ann).await;
        assert_eq!(run.device.rows.keys().collect::<Vec<_>>(), present.keys().collect::<Vec<_>>());
        for (version, snapshot) in &run.snapshots {
            assert_same(&at(&run.ann, *version).await, snapshot, &format!("version {version} of {last}"));
        }
    }
}

/// A random sequence of operations, with a snapshot of each version.
pub struct Run<'a> {
    ann: TestUser<'a>,
    rng: Rng,
    pub snapshots: BTreeMap<i64, Snapshot>,
    /// Ids of deleted entries: of the progress and of the story.
    gone: Vec<(String, String)>,
    device: Copy,
}

impl<'a> Run<'a> {
    pub async fn new(ann: TestUser<'a>, rng: Rng) -> Self {
        let mut run = Self {
            ann,
            rng,
            snapshots: BTreeMap::new(),
            gone: Vec::new(),
            device: Copy::default(),
        };
        run.add_shared_address().await;
        run.note().await;
        run
    }

    /// Adds two entries of one address, as an older app left them. No request can do that.
    async fn add_shared_address(&self) {
        for n in 0..2 {
            let input = json!({"title": "older", "url": format!("https://example.org/older/{n}")});
            self.ann.create_story(input).await;
        }
        share_address(
            &self.ann,
            "https://example.org/older/1",
            "https://example.org/older/0#1",
        )
        .await;
    }

    async fn note(&mut self) -> i64 {
        let (version, snapshot) = now(&self.ann).await;
        self.snapshots.insert(version, snapshot);
        version
    }

    fn first(&self) -> i64 {
        let (version, _) = self.snapshots.first_key_value().unwrap();
        *version
    }

    fn last(&self) -> (i64, &Snapshot) {
        let (version, snapshot) = self.snapshots.last_key_value().unwrap();
        (*version, snapshot)
    }

    /// A random row of a kind.
    fn pick(&mut self, kind: &str) -> Option<String> {
        let prefix = format!("{kind} ");
        let (_, snapshot) = self.snapshots.last_key_value().unwrap();
        let ids: Vec<_> = snapshot
            .keys()
            .filter_map(|key| key.strip_prefix(&prefix))
            .collect();
        self.rng.choice(ids).map(str::to_owned)
    }

    fn story_of(&self, progress: &str) -> String {
        let (_, snapshot) = self.last();
        snapshot[&format!("entry {progress}")]["storyId"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Some random labels of a kind.
    fn some(&mut self, kind: &str) -> Vec<String> {
        let picked: BTreeSet<_> = (0..self.rng.u8(..3))
            .filter_map(|_| self.pick(kind))
            .collect();
        picked.into_iter().collect()
    }

    fn with_device(&mut self, mut input: Value) -> Value {
        if self.rng.bool() {
            input["device"] = json!({"id": format!("device-{}", self.rng.u8(..2))});
        }
        input
    }

    pub async fn step(&mut self) {
        match self.rng.u8(..100) {
            0..18 => self.create().await,
            18..36 => self.change_story().await,
            36..50 => self.change_progress().await,
            50..58 => self.delete().await,
            58..76 => self.change_labels().await,
            76..92 => self.undo().await,
            92..97 => self.restore().await,
            _ => {
                self.device.pull(&self.ann).await;
                return;
            }
        }
        self.note().await;
    }

    async fn create(&mut self) {
        let text = self.rng.u16(..).to_string();
        let mut input = json!({
            "title": text,
            "url": format!("https://example.org/{}", self.rng.u8(..16)),
            "tagIds": self.some("tags"),
            "fandomIds": self.some("fandoms"),
            "notes": text,
        });
        if self.rng.bool()
            && let Some((progress, story)) = self.rng.choice(self.gone.clone())
        {
            // The same ids again, which recreates the rows. Sometimes they are paired in another way.
            input["progressId"] = progress.into();
            input["storyId"] = story.into();
            if self.rng.u8(..4) == 0
                && let Some((_, story)) = self.rng.choice(self.gone.clone())
            {
                input["storyId"] = story.into();
            }
        }
        let input = self.with_device(input);
        self.ann.create_story(input).await;
    }

    async fn change_story(&mut self) {
        let Some(progress) = self.pick("entry") else {
            return;
        };
        let text = self.rng.u16(..).to_string();
        let mut input = json!({"id": self.story_of(&progress)});
        for (field, value) in [
            ("title", json!(text)),
            (
                "description",
                if self.rng.bool() {
                    Value::Null
                } else {
                    json!(text)
                },
            ),
            ("wordCount", json!(self.rng.u8(..))),
            (
                "url",
                json!(format!("https://example.org/{}", self.rng.u8(..16))),
            ),
            ("tagIds", json!(self.some("tags"))),
            ("fandomIds", json!(self.some("fandoms"))),
        ] {
            if self.rng.u8(..3) == 0 {
                input[field] = value;
            }
        }
        let input = self.with_device(input);
        self.ann.update_story(input).await;
    }

    async fn change_progress(&mut self) {
        let Some(progress) = self.pick("entry") else {
            return;
        };
        let mut input = json!({"id": progress, "rewind": true});
        for (field, value) in [
            ("currentChapter", json!(self.rng.u8(..))),
            (
                "rating",
                if self.rng.bool() {
                    Value::Null
                } else {
                    json!(f64::from(self.rng.u8(..50)) / 10.0)
                },
            ),
            (
                "readingStatus",
                json!(if self.rng.bool() { "READING" } else { "PAUSED" }),
            ),
        ] {
            if self.rng.bool() {
                input[field] = value;
            }
        }
        let input = self.with_device(input);
        self.ann.update_progress(input).await;
    }

    async fn delete(&mut self) {
        if let Some(progress) = self.pick("entry") {
            self.gone.push((progress.clone(), self.story_of(&progress)));
            self.ann.delete_progress(&progress.into()).await;
        }
    }

    async fn change_labels(&mut self) {
        let (kind, noun) = if self.rng.bool() {
            ("tags", "Tag")
        } else {
            ("fandoms", "Fandom")
        };
        let name = format!("label {}", self.rng.u8(..12));
        let (verb, input_type, input) = match (self.rng.u8(..4), self.pick(kind)) {
            (0, Some(id)) => ("delete", "DeleteLabelInput", json!({"id": id})),
            (1, Some(id)) => (
                "rename",
                "RenameLabelInput",
                json!({"id": id, "name": name}),
            ),
            _ => ("create", "CreateLabelInput", json!({"name": name})),
        };
        let input = self.with_device(input);
        self.ann
            .mutate(&format!("{verb}{noun}"), input_type, input, "")
            .await;
    }

    async fn undo(&mut self) {
        let (last, present) = self.last();
        let present = present.clone();
        // Often one of the newest, because an older one often conflicts.
        let back = if self.rng.bool() {
            1
        } else {
            i64::from(self.rng.u8(1..20))
        };
        let version = last + 1 - back;
        if version <= self.first() {
            return;
        }
        let input = self.with_device(json!({"version": version}));
        let undone = undo(&self.ann, input).await;
        let (head, result) = now(&self.ann).await;
        let [before, after] =
            [version - 1, version].map(|version| self.snapshots[&version].clone());
        if undone["refusal"].is_null() {
            assert_same(
                &result,
                &expected(&before, &after, &present),
                &format!("undo({version}) at {last}"),
            );
            assert!(head == last || head == last + 1);
            return;
        }
        assert_eq!(
            (head, &result),
            (last, &present),
            "a refusal changes nothing"
        );
        assert_ne!(version, last, "the newest write is always undone: {undone}");
        match undone["refusal"]["code"].as_str().unwrap() {
            "CONFLICT" => {
                let fields = undone["conflict"]["fields"].as_array().unwrap();
                assert!(
                    fields.iter().all(|field| field["id"].is_string()),
                    "{undone}"
                );
            }
            // Another row has the address or the name now.
            "ALREADY_EXISTS" => assert!(undone["refusal"]["existingId"].is_string(), "{undone}"),
            _ => panic!("{undone}"),
        }
    }

    async fn restore(&mut self) {
        let (last, _) = self.last();
        let to = last - i64::from(self.rng.u8(..15)).min(last - self.first());
        let input = self.with_device(json!({"to": to}));
        let restored = restore(&self.ann, input).await;
        assert_eq!(
            restored["refusal"],
            Value::Null,
            "restore to {to} of {last}"
        );
        let (_, result) = now(&self.ann).await;
        assert_same(
            &result,
            &self.snapshots[&to],
            &format!("restore to {to} of {last}"),
        );
    }
}

/// The current rows with one write undone.
fn expected(before: &Snapshot, after: &Snapshot, now: &Snapshot) -> Snapshot {
    let mut result = now.clone();
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for key in keys {
        match (before.get(key), after.get(key)) {
            (None, Some(_)) => drop(result.remove(key)),
            (Some(row), None) => drop(result.insert(key.clone(), row.clone())),
            (Some(was), Some(became)) => {
                let changed = was
                    .iter()
                    .filter(|(field, value)| became.get(*field) != Some(*value));
                if let Some(row) = result.get_mut(key) {
                    row.extend(changed.map(|(field, value)| (field.clone(), value.clone())));
                }
            }
            (None, None) => unreachable!(),
        }
    }
    result
}

/// A device's copy, updated by deltas.
#[derive(Default)]
struct Copy {
    version: i64,
    rows: BTreeMap<String, Value>,
}

impl Copy {
    async fn pull(&mut self, ann: &TestUser<'_>) {
        let query = "query ($since: Int!, $after: String) { libraryChanges(since: $since, first: 7, after: $after) {
            version reset hasMore endCursor changes { __typename
              ... on Tag { id } ... on Fandom { id } ... on Progress { id } ... on Story { id }
              ... on Tombstone { id: rowId kind } } } }";
        let mut after = Value::Null;
        loop {
            let page = ann
                .ask(query, json!({"since": self.version, "after": after}))
                .await;
            let page = &page["libraryChanges"];
            assert_eq!(page["reset"], false);
            for change in page["changes"].as_array().unwrap() {
                let kind = change["kind"]
                    .as_str()
                    .or(change["__typename"].as_str())
                    .unwrap();
                let prefix = match kind.to_ascii_lowercase().as_str() {
                    "tag" => "tags",
                    "fandom" => "fandoms",
                    "progress" => "entry",
                    _ => continue,
                };
                let key = format!("{prefix} {}", change["id"].as_str().unwrap());
                if change["kind"].is_string() {
                    self.rows.remove(&key);
                } else {
                    self.rows.insert(key, change.clone());
                }
            }
            after = page["endCursor"].clone();
            if page["hasMore"] == false {
                self.version = page["version"].as_i64().unwrap();
                return;
            }
        }
    }
}

pub async fn tag(ann: &TestUser<'_>, name: &str) -> Value {
    ann.create_tag(name).await["tag"]["id"].take()
}

pub async fn entry(ann: &TestUser<'_>, title: &str, tags: &[&Value]) -> Value {
    let url = format!("https://example.org/{title}");
    ann.create_story(json!({"title": title, "url": url, "tagIds": tags}))
        .await
}

on_each_database! {
    async fn a_deleted_label_returns_to_its_stories_and_a_deleted_entry_to_its_labels(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let (fluff, angst) = (tag(&ann, "fluff").await, tag(&ann, "angst").await);
        entry(&ann, "a", &[&fluff, &angst]).await;
        entry(&ann, "b", &[&fluff]).await;
        let (whole, snapshot) = now(&ann).await;
        ann.mutate("deleteTag", "DeleteLabelInput", json!({"id": fluff}), "").await;
        let undone = undo(&ann, json!({"version": whole + 1})).await;
        assert_eq!(undone["changedRowCount"], 3, "{undone}");
        assert_eq!(now(&ann).await, (whole + 2, snapshot.clone()));
        let progress = snapshot.keys().next().unwrap().strip_prefix("entry ").unwrap();
        ann.delete_progress(&progress.into()).await;
        undo(&ann, json!({"version": whole + 3})).await;
        assert_eq!(now(&ann).await, (whole + 4, snapshot.clone()));
        // An undo is a write, so it is undone like any other.
        undo(&ann, json!({"version": whole + 4})).await;
        assert_eq!(at(&ann, whole + 3).await, now(&ann).await.1);
        assert_eq!(at(&ann, whole).await, snapshot);
    }

    async fn an_undo_conflict_names_field_row_and_device(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let story = entry(&ann, "a", &[]).await["progress"]["story"]["id"].take();
        for (title, device) in [("b", "phone"), ("c", "tablet")] {
            let input = json!({"id": story, "title": title, "description": title, "device": {"id": device}});
            ann.update_story(input).await;
        }
        let input = json!({"id": story, "description": "d", "device": {"id": "phone"}});
        ann.update_story(input).await;
        // The title of version 3 stands, but its description was changed by the same device since.
        let undone = undo(&ann, json!({"version": 4, "device": {"id": "phone"}})).await;
        assert_eq!(undone["refusal"]["code"], "CONFLICT");
        let expected = json!({"resolution": "REJECTED", "fields": [{
            "id": story, "field": "description", "base": "c", "yours": "b", "theirs": "d", "device": {"id": "phone"},
        }]});
        assert_eq!(undone["conflict"], expected);
        assert_eq!(undone["libraryVersion"], 5);
        let undone = undo(&ann, json!({"version": 4, "onConflict": "MERGE"})).await;
        assert_eq!(undone["conflict"]["resolution"], "MERGED");
        let (_, rows) = now(&ann).await;
        let row = rows.values().next().unwrap();
        assert_eq!((&row["title"], &row["description"]), (&json!("b"), &json!("d")));
        let undone = undo(&ann, json!({"version": 4, "onConflict": "OVERWRITE"})).await;
        assert_eq!(undone["conflict"], Value::Null);
        assert_eq!(now(&ann).await.1.values().next().unwrap()["description"], "b");
    }

    async fn a_restore_swaps_names_and_addresses_and_checks_its_base(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let (one, two) = (tag(&ann, "one").await, tag(&ann, "two").await);
        let [a, b] = ["a", "b"].map(|title| entry(&ann, title, &[]));
        let [a, b] = [a.await, b.await].map(|made| made["progress"]["story"]["id"].clone());
        let (before, snapshot) = now(&ann).await;
        for (id, name) in [(&one, "three"), (&two, "one"), (&one, "two")] {
            ann.mutate("renameTag", "RenameLabelInput", json!({"id": id, "name": name}), "").await;
        }
        for (id, path) in [(&a, "c"), (&b, "a"), (&a, "b")] {
            ann.update_story(json!({"id": id, "url": format!("https://example.org/{path}")})).await;
        }
        let base = ann.head().await;
        ann.update_story(json!({"id": a, "author": "unseen"})).await;
        let refused = restore(&ann, json!({"to": before, "base": base})).await;
        assert_eq!(refused["refusal"]["code"], "CONFLICT");
        assert_eq!(refused["conflict"]["fields"][0]["field"], "author");
        let restored = restore(&ann, json!({"to": before, "base": ann.head().await})).await;
        assert_eq!(restored["refusal"], Value::Null);
        assert_eq!(now(&ann).await, (before + 8, snapshot));
    }

    async fn an_address_or_a_name_that_another_row_took_since_returns_in_one_restore(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let label = async |verb: &str, noun: &str, kind: &str, input: Value| {
            let done = ann.mutate(&format!("{verb}{noun}"), &format!("{kind}LabelInput"), input, "").await;
            assert_eq!(done["refusal"], Value::Null, "{done}");
        };
        let mut entries = Vec::new();
        for title in ["a", "b", "c", "d"] {
            let made = entry(&ann, title, &[]).await;
            entries.push((made["progress"]["id"].clone(), made["progress"]["story"]["id"].clone()));
        }
        let mut labels = Vec::new();
        for noun in ["Tag", "Fandom"] {
            let kind = format!("{}s", noun.to_lowercase());
            for name in ["one", "two", "three"] {
                label("create", noun, "Create", json!({"name": name})).await;
            }
            let (_, rows) = now(&ann).await;
            let named = |name: &str| {
                let found = rows.iter().find(|(key, row)| key.starts_with(&kind) && row["name"] == name).unwrap();
                found.0.split(' ').next_back().unwrap().to_owned()
            };
            labels.push((noun, ["one", "two", "three"].map(named)));
        }
        let (before, snapshot) = now(&ann).await;

        // A is deleted, B takes its address, C the one of B, and D keeps its own under the ids of A.
        ann.delete_progress(&entries[0].0).await;
        for (n, path) in [(1, "a"), (2, "b"), (3, "e")] {
            let moved = ann.update_story(json!({"id": entries[n].1, "url": format!("https://example.org/{path}")})).await;
            assert_eq!(moved["refusal"], Value::Null);
        }
        let again = json!({"title": "again", "url": "https://example.org/d", "progressId": entries[0].0, "storyId": entries[0].1});
        assert_eq!(ann.create_story(again).await["refusal"], Value::Null);
        for (noun, [one, two, three]) in &labels {
            label("delete", noun, "Delete", json!({"id": one})).await;
            label("rename", noun, "Rename", json!({"id": two, "name": "one"})).await;
            label("rename", noun, "Rename", json!({"id": three, "name": "two"})).await;
            label("create", noun, "Create", json!({"name": "three"})).await;
        }
        let (changed, later) = now(&ann).await;
        let restored = restore(&ann, json!({"to": before})).await;
        assert_eq!(restored["refusal"], Value::Null, "{restored}");
        assert_same(&now(&ann).await.1, &snapshot, "restored");
        for (version, expected, what) in [(changed + 1, &later, "undone"), (changed + 2, &snapshot, "done again")] {
            let undone = undo(&ann, json!({"version": version})).await;
            assert_eq!(undone["refusal"], Value::Null, "{what}: {undone}");
            assert_same(&now(&ann).await.1, expected, what);
        }
        for (version, expected) in [(before, &snapshot), (changed, &later), (changed + 1, &snapshot), (changed + 2, &later)] {
            assert_same(&at(&ann, version).await, expected, &format!("version {version}"));
        }
    }

    async fn stories_that_share_an_address_are_brought_back_unless_it_was_taken_since(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let (one, two) = (entry(&ann, "a", &[]).await, entry(&ann, "b", &[]).await);
        share_address(&ann, "https://example.org/b", "https://example.org/a#2").await;
        let (before, snapshot) = now(&ann).await;
        for entry in [&two, &one] {
            ann.delete_progress(&entry["progress"]["id"]).await;
            assert_eq!(undo(&ann, json!({"version": ann.version().await})).await["refusal"], Value::Null);
            assert_same(&now(&ann).await.1, &snapshot, "one was deleted");
            ann.update_story(json!({"id": entry["progress"]["story"]["id"], "url": "https://example.org/c"})).await;
            assert_eq!(undo(&ann, json!({"version": ann.version().await})).await["refusal"], Value::Null);
            assert_same(&now(&ann).await.1, &snapshot, "one was moved");
        }
        for entry in [&one, &two] {
            ann.delete_progress(&entry["progress"]["id"]).await;
        }
        assert_eq!(restore(&ann, json!({"to": before})).await["refusal"], Value::Null);
        assert_same(&now(&ann).await.1, &snapshot, "both were deleted");
        // The address of a story that never shared it is taken by another.
        let single = json!({"title": "s", "url": "http://example.org/s#chapter-2"});
        let single = ann.create_story(single).await["progress"]["id"].take();
        ann.delete_progress(&single).await;
        let deleted = ann.version().await;
        let taking = entry(&ann, "s", &[]).await;
        let refused = undo(&ann, json!({"version": deleted})).await;
        assert_eq!(refused["refusal"]["code"], "ALREADY_EXISTS");
        assert_eq!(refused["refusal"]["existingId"], taking["progress"]["story"]["id"]);
    }

    async fn a_story_returns_beside_one_that_took_the_normalised_form_of_their_shared_address(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let (one, two) = (entry(&ann, "a", &[]).await, entry(&ann, "b", &[]).await);
        share_address(&ann, "https://example.org/b", "https://example.org/a#2").await;
        let (before, snapshot) = now(&ann).await;
        let id = &two["progress"]["story"]["id"];
        let moved = json!({"id": one["progress"]["story"]["id"], "url": "https://example.org/d"});
        for is_deleted in [true, false] {
            if is_deleted {
                ann.delete_progress(&one["progress"]["id"]).await;
            } else {
                ann.update_story(moved.clone()).await;
            }
            let left = ann.version().await;
            // The address is free, so the second story has it alone when its move is undone.
            ann.update_story(json!({"id": id, "url": "https://example.org/c"})).await;
            assert_eq!(undo(&ann, json!({"version": left + 1})).await["refusal"], Value::Null);
            let undone = undo(&ann, json!({"version": left})).await;
            assert_eq!(undone["refusal"], Value::Null, "{undone}");
            assert_same(&now(&ann).await.1, &snapshot, "undone");
            assert_eq!(undo(&ann, json!({"version": left + 3})).await["refusal"], Value::Null);
            let restored = restore(&ann, json!({"to": before})).await;
            assert_eq!(restored["refusal"], Value::Null, "{restored}");
            assert_same(&now(&ann).await.1, &snapshot, "restored");
        }
        let taken = ann.create_story(json!({"title": "a", "url": "https://example.org/a"})).await;
        assert_eq!((&taken["refusal"]["code"], &taken["refusal"]["existingId"]), (&json!("ALREADY_EXISTS"), id));
    }

    async fn an_entry_of_another_life_is_brought_back_with_what_changed_since(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let made = entry(&ann, "a", &[]).await["progress"].take();
        let (id, story) = (&made["id"], &made["story"]["id"]);
        let (first, _) = now(&ann).await;
        ann.delete_progress(id).await;
        ann.create_story(json!({"title": "b", "url": "https://example.org/b", "progressId": id, "storyId": story})).await;
        let (second, snapshot) = now(&ann).await;
        for changed in ["wordCount", "currentChapter"] {
            assert_eq!(restore(&ann, json!({"to": first})).await["refusal"], Value::Null);
            let replaced = ann.version().await;
            match changed {
                "wordCount" => ann.update_story(json!({"id": story, "wordCount": 7})).await,
                _ => ann.update_progress(json!({"id": id, "currentChapter": 7, "readingStatus": "NOT_STARTED"})).await,
            };
            assert_eq!(undo(&ann, json!({"version": replaced})).await["refusal"], Value::Null);
            let mut expected = snapshot.clone();
            expected.values_mut().next().unwrap().insert(changed.to_owned(), json!(7));
            let (undone, found) = now(&ann).await;
            assert_same(&found, &expected, "undone");
            let restored = restore(&ann, json!({"to": second})).await;
            assert_eq!(restored["changedRowCount"], 1, "{restored}");
            assert_same(&now(&ann).await.1, &snapshot, "restored");
            for (version, expected) in [(second, &snapshot), (undone, &expected), (undone + 1, &snapshot)] {
                assert_same(&at(&ann, version).await, expected, &format!("version {version}"));
            }
        }
    }

    async fn a_story_of_another_life_is_brought_back_even_if_its_progress_is_not(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let made = entry(&ann, "a", &[]).await["progress"].take();
        // Earlier releases replaced only one half of an entry, if the other had changed since.
        let is_created_with_the_first = async |table: &str| {
            app.db.execute(&format!("UPDATE topaz_{table} SET created_at = 1000")).await;
        };
        is_created_with_the_first("story").await;
        is_created_with_the_first("progress").await;
        let (first, snapshot) = now(&ann).await;
        ann.delete_progress(&made["id"]).await;
        let ids = json!({"title": "b", "url": "https://example.org/b", "progressId": made["id"], "storyId": made["story"]["id"]});
        ann.create_story(ids).await;
        is_created_with_the_first("progress").await;
        assert_eq!(restore(&ann, json!({"to": first})).await["refusal"], Value::Null);
        assert_same(&now(&ann).await.1, &snapshot, "restored");
    }

    async fn an_import_is_undone_in_one_write(db: Db) {
        let app = TestApp::start_with(db, &["--max-restored-rows", "700"]).await;
        let ann = app.user("ann");
        let import = async |count: usize, site: &str| {
            let entries: Vec<_> = (0..count)
                .map(|n| json!({"title": format!("{n}"), "url": format!("https://{site}/{n}"), "tags": ["x", "y"]}))
                .collect();
            ann.mutate("importLibrary", "ImportLibraryInput", json!({"entries": entries}), "").await
        };
        let imported = import(300, "one.example").await;
        assert_eq!(imported["refusal"], Value::Null, "{imported}");
        let undone = undo(&ann, json!({"version": 2})).await;
        assert_eq!(undone["changedRowCount"], 602, "{undone}");
        assert!(now(&ann).await.1.is_empty());
        let undone = undo(&ann, json!({"version": 3})).await;
        assert_eq!(undone["changedRowCount"], 602, "{undone}");
        let stats = ann.ask("{ library { stats { storyCount tagCount } } }", json!({})).await;
        assert_eq!(stats["library"]["stats"], json!({"storyCount": 300, "tagCount": 2}));
        import(400, "two.example").await;
        let refused = undo(&ann, json!({"version": 5})).await;
        assert_eq!(refused["refusal"]["code"], "LIMIT_REACHED");
        assert_eq!(refused["libraryVersion"], 5);
    }

    async fn a_version_whose_history_was_purged_is_neither_read_nor_undone(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        entry(&ann, "a", &[]).await;
        let deleted = entry(&ann, "b", &[]).await["progress"]["id"].take();
        ann.delete_progress(&deleted).await;
        undo(&ann, json!({"version": 4})).await;
        let nothing = Retention { history: std::time::Duration::ZERO, receipts: std::time::Duration::ZERO };
        app.library.purge(nothing).await.unwrap();
        let floor = ann.ask("{ library { floor } }", json!({})).await["library"]["floor"].as_i64().unwrap();
        assert_eq!(floor, 5);
        let read = "{ libraryAt(version: 3) { entries { endCursor } } }";
        assert_eq!(ann.refused(read, json!({})).await, "BAD_USER_INPUT");
        for input in [json!({"version": 5}), json!({"version": 4}), json!({"version": 6}), json!({"version": -1})] {
            let refused = undo(&ann, input.clone()).await;
            assert_eq!(refused["refusal"]["code"], "NOT_FOUND", "{input}");
            assert_eq!(refused["libraryVersion"], 5);
        }
        assert_eq!(restore(&ann, json!({"to": 4})).await["refusal"]["code"], "NOT_FOUND");
        assert_eq!(at(&ann, 5).await, now(&ann).await.1);
    }

    async fn the_history_shows_what_each_write_changed(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let label = tag(&ann, "fluff").await;
        let made = entry(&ann, "a", &[&label]).await;
        let story = &made["progress"]["story"]["id"];
        ann.update_story(json!({"id": story, "title": "b", "device": {"id": "phone"}})).await;
        ann.delete_progress(&made["progress"]["id"]).await;
        let query = "query ($first: Int, $after: Int, $device: ID, $kind: LibraryKind) {
            history(first: $first, after: $after, device: $device, kind: $kind) {
              nodes { version at device { id } kinds changes { kind id action fields { field before after } } } endCursor } }";
        let all = ann.ask(query, json!({})).await;
        let nodes = all["history"]["nodes"].as_array().unwrap();
        assert_eq!(nodes.iter().map(|node| node["version"].as_i64().unwrap()).collect::<Vec<_>>(), [5, 4, 3, 2]);
        assert_eq!(nodes[1]["device"]["id"], "phone");
        assert_eq!(nodes[1]["changes"], json!([{"kind": "STORY", "id": story, "action": "CHANGED",
            "fields": [{"field": "title", "before": "a", "after": "b"}]}]));
        let removed = nodes[0]["changes"].as_array().unwrap();
        let actions: BTreeSet<_> = removed.iter().map(|change| change["action"].as_str().unwrap()).collect();
        assert_eq!((removed.len(), actions), (2, BTreeSet::from(["REMOVED"])));
        let fields = removed[0]["fields"].as_array().unwrap();
        assert!(fields.contains(&json!({"field": "title", "before": "b", "after": null})), "{fields:?}");
        assert!(fields.contains(&json!({"field": "tagIds", "before": [label], "after": null})), "{fields:?}");
        assert_eq!(nodes[3]["changes"][0]["action"], "CREATED");

        let versions = async |variables: Value| -> Vec<i64> {
            let response = ann.ask(query, variables).await;
            let nodes = response["history"]["nodes"].as_array().unwrap().clone();
            nodes.iter().map(|node| node["version"].as_i64().unwrap()).collect()
        };
        assert_eq!(versions(json!({"kind": "TAG"})).await, [2]);
        assert_eq!(versions(json!({"device": "phone"})).await, [4]);
        assert_eq!(versions(json!({"first": 2})).await, [5, 4]);
        assert_eq!(versions(json!({"first": 2, "after": 4})).await, [3, 2]);
        assert_eq!(all["history"]["endCursor"], Value::Null);
        assert_eq!(app.user("bob").ask(query, json!({})).await["history"]["nodes"], json!([]));
    }

    async fn a_retried_undo_runs_once(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        entry(&ann, "a", &[]).await;
        let input = json!({"version": 2, "idempotencyKey": Uuid::now_v7()});
        let first = undo(&ann, input.clone()).await;
        assert_eq!(undo(&ann, input).await, first);
        assert_eq!(ann.version().await, 3);
        let user = UserId::new("ann").unwrap();
        assert_eq!(i64::from(app.library.head(&user).await.unwrap().version.number()), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_size_of_the_history_and_its_purges_are_measured() {
    let database = TestDatabase::new(Db::Sqlite).await;
    let server = TestProcess::serve(&database.url, &["--max-history-bytes", "4000"]).await;
    let mutation =
        "mutation ($name: String!) { createTag(input: {name: $name}) { libraryVersion } }";
    for n in 0..40 {
        let made = server
            .send("ann", mutation, json!({"name": format!("{n}")}))
            .await
            .unwrap();
        assert_eq!(made["data"]["createTag"]["libraryVersion"], n + 2);
    }
    for (n, version) in (0..40).zip(42..) {
        let undo =
            "mutation ($version: Int!) { undo(input: {version: $version}) { libraryVersion } }";
        let undone = server
            .send("ann", undo, json!({"version": version - 1}))
            .await
            .unwrap();
        assert_eq!(
            undone["data"]["undo"]["libraryVersion"], version,
            "{n}: {undone}"
        );
    }
    assert!(server.counter("library_sync_history_bytes_total").await >= 16_000.0);
    let purged = r#"library_sync_history_rows_purged_total{reason="size"}"#;
    assert!(server.counter(purged).await >= 1.0);
}
