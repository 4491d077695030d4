//! Model-based test with random devices: after any sequence of writes, losses, replays, purges, new epochs and
//! crashes, every device converges to the server's library, and the server's library equals the model's.
//!
//! The seed decides a run, except when the server is killed. A failure prints it;
//! `LIBRARY_SYNC_TEST_SEED=<n>` repeats it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fastrand::Rng;
use library_sync::{library::Retention, version::UserId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::test_app::{Db, EventStream, TestApp, TestProcess, on_each_database, soon};

/// The rows by kind and id, with the fields that the model knows.
type Rows = BTreeMap<(String, Uuid), Value>;

/// The flags of the server whose streams the devices read.
const FLAGS: [&str; 4] = ["--heartbeat", "500ms", "--log", "warn"];

on_each_database! {
    async fn every_device_converges_to_the_servers_library(db: Db) {
        let seeds = match std::env::var("LIBRARY_SYNC_TEST_SEED") {
            Ok(seed) => vec![seed.parse().expect("a number")],
            Err(_) => (0..4).map(|_| fastrand::u64(..)).collect(),
        };
        for seed in seeds {
            // Printed only if the test fails.
            println!("LIBRARY_SYNC_TEST_SEED={seed}");
            run(db, seed).await;
        }
    }
}

async fn run(db: Db, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut servers = Servers::start(db).await;
    let mut model = Model {
        version: 1,
        ..Model::default()
    };
    model.floor_is(servers.floor().await);
    let mut devices = [0, 1, 2].map(|n| Device {
        name: format!("device-{n}"),
        ..Device::default()
    });
    for _ in 0..400 {
        let [device, other] = two_of(&mut devices, &mut rng);
        match rng.u32(..100) {
            0..35 => device.queue_mutation(&mut rng, &model),
            35..55 => device.send(&servers, &mut model, &mut rng).await,
            55..63 => {
                let (mut first, mut second) = (rng.fork(), rng.fork());
                let sent = device.send(&servers, &mut model, &mut first);
                futures_util::join!(sent, other.follow(&servers, &mut second));
            }
            63..90 => {
                if device.follow(&servers, &mut rng).await {
                    device.assert_equals(&model);
                }
            }
            90..93 => device.crash(),
            93..96 => {
                servers.purge().await;
                model.forgotten = model.version;
                model.floor_is(servers.floor().await);
            }
            96 => {
                servers.begin_epoch().await;
                model.floor_is(servers.floor().await);
            }
            97 => {
                device
                    .send_and_crash(&mut servers, &mut model, &mut rng)
                    .await;
            }
            _ => drop(servers.second.user("bob").add("noise").await),
        }
    }
    for device in &mut devices {
        while !device.outbox.is_empty() {
            device.send(&servers, &mut model, &mut rng).await;
        }
    }
    for device in &mut devices {
        // The last notices may be lost too.
        soon(
            "every stream receives the last version",
            device.read_stream_until(&servers, model.version),
        )
        .await;
        device.pull_all(&servers, &mut rng).await;
        device.assert_equals(&model);
    }
    let mut newcomer = Device::default();
    newcomer.pull_all(&servers, &mut rng).await;
    newcomer.assert_equals(&model);
}

fn two_of<'a>(devices: &'a mut [Device; 3], rng: &mut Rng) -> [&'a mut Device; 2] {
    let pairs = [[0, 1], [1, 2], [2, 0]];
    devices.get_disjoint_mut(pairs[rng.usize(..3)]).unwrap()
}

/// Two servers on one database without a shared broker, so that every notice of the second is lost. The
/// devices read the streams of the first, which is killed from time to time.
struct Servers {
    first: TestProcess,
    second: TestApp,
}

impl Servers {
    async fn start(db: Db) -> Self {
        let second = TestApp::start(db).await;
        let first = TestProcess::serve(&second.db.url, &FLAGS).await;
        Self { first, second }
    }

    async fn execute(&self, query: &str, variables: Value) -> Value {
        let mut response = self.first.send("ann", query, variables).await.unwrap();
        assert!(response.get("errors").is_none(), "{query}: {response}");
        response["data"].take()
    }

    /// Kills the first server at a random moment of a request, and restarts it.
    async fn crash_during(&mut self, request: impl Future, rng: &mut Rng) {
        let _ = tokio::time::timeout(Duration::from_millis(rng.u64(..15)), request).await;
        self.first.signal("-KILL");
        self.first.wait().await;
        self.first = TestProcess::serve(&self.second.db.url, &FLAGS).await;
    }

    async fn purge(&self) {
        // Rows of the current millisecond would be kept.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let all = Retention {
            history: Duration::ZERO,
            receipts: Duration::from_hours(1),
        };
        self.second.library.purge(all).await.unwrap();
    }

    async fn begin_epoch(&self) {
        let ann = UserId::new("ann").unwrap();
        self.second.library.begin_epoch(Some(&ann)).await.unwrap();
    }

    /// The floor below which a base is unknown, and the current epoch.
    async fn floor(&self) -> (i64, String) {
        let library =
            self.execute("{ library { floor epoch } }", json!({})).await["library"].take();
        let epoch = library["epoch"].as_str().unwrap().to_owned();
        (library["floor"].as_i64().unwrap(), epoch)
    }
}

/// A mutation in a device's outbox.
#[derive(Debug, Clone)]
struct Intent {
    key: String,
    mutation: &'static str,
    input: Value,
}

impl Intent {
    fn query(&self) -> String {
        let (mutation, rest) = (self.mutation, &self.mutation[1..]);
        let input = match mutation {
            "createTag" | "createFandom" => "CreateLabelInput".to_owned(),
            "renameTag" | "renameFandom" => "RenameLabelInput".to_owned(),
            "deleteTag" | "deleteFandom" => "DeleteLabelInput".to_owned(),
            _ => format!("{}{rest}Input", mutation[..1].to_uppercase()),
        };
        let fields = match mutation {
            "importLibrary" => "outcomes { status storyId progressId }",
            _ => "",
        };
        format!(
            "mutation ($input: {input}!) {{ {mutation}(input: $input) {{ libraryVersion refusal {{ code }} {fields} }} }}"
        )
    }

    fn variables(&self, device: &str) -> Value {
        let mut input = self.input.clone();
        input["idempotencyKey"] = json!(self.key);
        input["device"] = json!({"id": device});
        json!({"input": input})
    }

    /// The device that created it.
    fn device(&self) -> &str {
        self.key.split('/').next().unwrap()
    }

    fn id(&self, field: &str) -> Option<Uuid> {
        self.input[field].as_str().map(|id| id.parse().unwrap())
    }
}

/// The expected library, and the result of each intent.
#[derive(Default)]
struct Model {
    version: i64,
    floor: i64,
    epoch: String,
    /// The version up to which the devices of changes are unknown.
    forgotten: i64,
    rows: Rows,
    urls: BTreeMap<Uuid, String>,
    removed: Vec<(Uuid, Uuid)>,
    results: BTreeMap<String, Value>,
    progresses: BTreeMap<Uuid, Chapters>,
    /// The progresses with a tombstone, and its stamp.
    tombstones: BTreeMap<Uuid, i64>,
}

/// The versions that set the chapter of a progress, and their devices.
struct Chapters {
    made: (i64, String),
    /// Every field of a recreated row counts as changed.
    changes: Vec<(i64, String)>,
}

impl Chapters {
    fn last(&self) -> &(i64, String) {
        self.changes.last().unwrap_or(&self.made)
    }
}

impl Model {
    /// Applies the change unless it is a replay, and checks its result.
    async fn apply_and_check(&mut self, servers: &Servers, intent: &Intent, response: &Value) {
        if let Some(before) = self.results.get(&intent.key) {
            assert_eq!(response, before, "a replay of {intent:?}");
            return;
        }
        self.results.insert(intent.key.clone(), response.clone());
        let before = self.rows.clone();
        let made = match intent.mutation {
            "importLibrary" => self.import(servers, intent, response).await,
            _ => self.change(intent),
        };
        if made.is_none() {
            self.rows = before;
        } else if self.rows != before {
            self.version += 1;
        }
        let refused = !response["refusal"].is_null();
        assert_eq!(refused, made.is_none(), "{intent:?}: {response}");
        assert_eq!(response["libraryVersion"], self.version, "{intent:?}");
    }

    fn change(&mut self, intent: &Intent) -> Option<()> {
        let label = |mutation: &str| {
            if mutation.ends_with("Tag") {
                "Tag"
            } else {
                "Fandom"
            }
        };
        match intent.mutation {
            "createStoryWithProgress" => self.create(intent),
            "updateStoryWithRelations" => {
                let key = ("Story".to_owned(), intent.id("id")?);
                let mut row = self.rows.get(&key)?.clone();
                if !intent.input["title"].is_null() {
                    row["title"] = intent.input["title"].clone();
                }
                for (kind, field, set) in SETS {
                    if !intent.input[field].is_null() {
                        row[set] = self.known(kind, &intent.input[field])?;
                    }
                }
                self.rows.insert(key, row);
                Some(())
            }
            "updateProgress" => self.update_progress(intent),
            "deleteProgress" => self.delete_progress(intent.id("id")?),
            "createTag" | "createFandom" | "renameTag" | "renameFandom" => {
                let kind = label(intent.mutation);
                let (id, name) = (intent.id("id")?, &intent.input["name"]);
                let key = (kind.to_owned(), id);
                let is_new = intent.mutation.starts_with("create");
                let same_name = |(other, row): (&(String, Uuid), &Value)| {
                    other.0 == kind && other.1 != id && row["name"] == *name
                };
                if self.rows.contains_key(&key) == is_new || self.rows.iter().any(same_name) {
                    return None;
                }
                self.rows.insert(key, json!({"name": name}));
                Some(())
            }
            "deleteTag" | "deleteFandom" => {
                let (kind, id) = (label(intent.mutation), intent.id("id")?);
                self.rows.remove(&(kind.to_owned(), id))?;
                let (_, _, set) = SETS.into_iter().find(|(of, ..)| *of == kind)?;
                for row in self.rows.values_mut() {
                    if let Some(ids) = row.get_mut(set).and_then(Value::as_array_mut) {
                        ids.retain(|other| *other != json!(id));
                    }
                }
                Some(())
            }
            other => panic!("{other}"),
        }
    }

    fn create(&mut self, intent: &Intent) -> Option<()> {
        let (story, progress) = (intent.id("storyId")?, intent.id("progressId")?);
        let url = intent.input["url"].as_str()?;
        let is_taken = self.urls.values().any(|other| other == url)
            || self.rows.contains_key(&("Story".into(), story))
            || self.rows.contains_key(&("Progress".into(), progress));
        if is_taken {
            return None;
        }
        let mut row = json!({"title": intent.input["title"]});
        for (kind, field, set) in SETS {
            row[set] = self.known(kind, &intent.input[field])?;
        }
        self.insert(intent, (story, progress), row, url);
        Some(())
    }

    fn insert(&mut self, intent: &Intent, (story, progress): (Uuid, Uuid), row: Value, url: &str) {
        let made = json!({"storyId": story, "chapter": 0});
        self.rows.insert(("Story".into(), story), row);
        self.rows.insert(("Progress".into(), progress), made);
        self.urls.insert(story, url.to_owned());
        let made = (self.version + 1, intent.device().to_owned());
        let remade = self.tombstones.remove(&progress).map(|_| made.clone());
        let changes = remade.into_iter().collect();
        self.progresses.insert(progress, Chapters { made, changes });
    }

    fn update_progress(&mut self, intent: &Intent) -> Option<()> {
        let id = intent.id("id")?;
        let row = self.rows.get_mut(&("Progress".to_owned(), id))?;
        let yours = &intent.input["currentChapter"];
        if row["chapter"] == *yours {
            return Some(());
        }
        let chapters = self.progresses.get_mut(&id)?;
        let (last, by) = chapters.last();
        if let Some(base) = intent.input["base"].as_str() {
            let (epoch, base) = base.split_once('.')?;
            let base: i64 = base.parse().unwrap();
            let is_forgotten = epoch != self.epoch || (*last > base && base < self.floor);
            let is_others =
                |change: &&(i64, String)| change.0 > base && change.1 != intent.device();
            if is_forgotten || chapters.changes.iter().any(|change| is_others(&change)) {
                return None;
            }
        } else if yours.as_i64() < row["chapter"].as_i64()
            && (*last <= self.forgotten || by != intent.device())
        {
            return Some(()); // left: the device may be behind
        }
        row["chapter"] = yours.clone();
        let change = (self.version + 1, intent.device().to_owned());
        chapters.changes.push(change);
        Some(())
    }

    fn delete_progress(&mut self, progress: Uuid) -> Option<()> {
        let row = self.rows.remove(&("Progress".to_owned(), progress))?;
        let story = row["storyId"].as_str()?.parse().unwrap();
        self.rows.remove(&("Story".to_owned(), story));
        self.urls.remove(&story);
        self.removed.push((story, progress));
        self.progresses.remove(&progress);
        self.tombstones.insert(progress, self.version + 1);
        Some(())
    }

    /// Adds the entries that the server reports as added, and the labels that it created.
    async fn import(&mut self, servers: &Servers, intent: &Intent, response: &Value) -> Option<()> {
        let entries = intent.input["entries"].as_array()?;
        let labels = servers.execute("{ tags { id name } }", json!({})).await;
        let mut ids = BTreeMap::new();
        for tag in labels["tags"].as_array()? {
            ids.insert(tag["name"].as_str()?.to_owned(), tag["id"].clone());
        }
        for (entry, outcome) in entries.iter().zip(response["outcomes"].as_array()?) {
            let url = entry["url"].as_str()?;
            let is_new = !self.urls.values().any(|other| other == url);
            assert_eq!(
                outcome["status"] == "IMPORTED",
                is_new,
                "{entry}: {outcome}"
            );
            if !is_new {
                continue;
            }
            let [story, progress] = ["storyId", "progressId"]
                .map(|field| outcome[field].as_str().unwrap().parse().unwrap());
            let tag = entry["tags"][0].as_str()?;
            let id: Uuid = ids[tag].as_str()?.parse().unwrap();
            self.rows
                .insert(("Tag".to_owned(), id), json!({"name": tag}));
            let row = json!({"title": entry["title"], "tags": [id], "fandoms": []});
            self.insert(intent, (story, progress), row, url);
        }
        Some(())
    }

    /// Applies a new floor and epoch.
    fn floor_is(&mut self, (floor, epoch): (i64, String)) {
        (self.floor, self.epoch) = (floor, epoch);
        self.tombstones.retain(|_, stamp| *stamp > floor);
    }

    /// These ids, sorted, if each is a label of this kind.
    fn known(&self, kind: &str, ids: &Value) -> Option<Value> {
        let ids: BTreeSet<_> = ids
            .as_array()?
            .iter()
            .map(|id| id.as_str().unwrap())
            .collect();
        let is_known = |id: &&str| {
            self.rows
                .contains_key(&(kind.to_owned(), id.parse().unwrap()))
        };
        ids.iter().all(is_known).then(|| json!(ids))
    }
}

/// The kinds of labels: the field that sets them, and where a row holds them.
const SETS: [(&str, &str, &str); 2] = [
    ("Tag", "tagIds", "tags"),
    ("Fandom", "fandomIds", "fandoms"),
];

/// A device: its copy of the library, its outbox, and the stream that notifies it of new versions.
#[derive(Default)]
struct Device {
    name: String,
    version: i64,
    epoch: Option<String>,
    rows: Rows,
    /// The cursor of an unfinished sequence of pages.
    cursor: Option<String>,
    outbox: Vec<Intent>,
    made: u64,
    stream: Option<EventStream>,
    /// The version that it received last.
    received: i64,
}

impl Device {
    fn own(&self, kind: &str) -> Vec<Uuid> {
        let of_kind = self.rows.keys().filter(|key| key.0 == kind);
        of_kind.map(|key| key.1).collect()
    }

    /// Queues a random mutation that is valid for its own, perhaps stale, copy.
    fn queue_mutation(&mut self, rng: &mut Rng, model: &Model) {
        let Some((mutation, input)) = self.random_mutation(rng, model) else {
            return;
        };
        self.made += 1;
        let key = format!("{}/{}", self.name, self.made);
        self.outbox.push(Intent {
            key,
            mutation,
            input,
        });
    }

    fn random_mutation(&self, rng: &mut Rng, model: &Model) -> Option<(&'static str, Value)> {
        let [tags, fandoms] = ["Tag", "Fandom"].map(|kind| self.own(kind));
        let mut some = |ids: &[Uuid]| json!(ids.iter().filter(|_| rng.bool()).collect::<Vec<_>>());
        let (some_tags, some_fandoms) = (some(&tags), some(&fandoms));
        let [stories, progresses] = ["Story", "Progress"].map(|kind| self.own(kind));
        Some(match rng.u32(..20) {
            0..4 => {
                let is_tag = rng.bool();
                let name = format!("label {}", rng.u32(..12));
                let id = rng.choice(if is_tag { &tags } else { &fandoms });
                match (id, is_tag, rng.u32(..3)) {
                    (Some(id), true, 0) => ("deleteTag", json!({"id": id})),
                    (Some(id), false, 0) => ("deleteFandom", json!({"id": id})),
                    (Some(id), true, 1) => ("renameTag", json!({"id": id, "name": name})),
                    (Some(id), false, 1) => ("renameFandom", json!({"id": id, "name": name})),
                    (_, true, _) => ("createTag", json!({"id": new_id(rng), "name": name})),
                    (_, false, _) => ("createFandom", json!({"id": new_id(rng), "name": name})),
                }
            }
            4..8 => {
                // Sometimes with one id for both, and sometimes with the ids of removed rows.
                let story = new_id(rng);
                let fresh = (story, if rng.bool() { story } else { new_id(rng) });
                let gone = model.removed.last().filter(|_| rng.u32(..3) == 0);
                let (story, progress) = *gone.unwrap_or(&fresh);
                let url = format!("https://example.org/{}", rng.u32(..40));
                let input = json!({
                    "storyId": story, "progressId": progress, "url": url, "title": format!("title {}", rng.u32(..9)),
                    "tagIds": some_tags, "fandomIds": some_fandoms,
                });
                ("createStoryWithProgress", input)
            }
            8 => {
                let mut entry = || {
                    json!({
                        "title": "imported", "url": format!("https://example.org/{}", rng.u32(..40)),
                        "tags": [format!("label {}", rng.u32(..12))],
                    })
                };
                (
                    "importLibrary",
                    json!({"entries": [entry(), entry(), entry()]}),
                )
            }
            9..13 => {
                let mut input = json!({"id": rng.choice(&stories)?});
                if rng.bool() {
                    input["title"] = json!(format!("title {}", rng.u32(..3)));
                }
                if rng.bool() {
                    input["tagIds"] = some_tags;
                }
                if rng.bool() {
                    input["fandomIds"] = some_fandoms;
                }
                ("updateStoryWithRelations", input)
            }
            13..16 => ("deleteProgress", json!({"id": rng.choice(&progresses)?})),
            _ => {
                let id = rng.choice(&progresses)?;
                let mut input = json!({"id": id, "currentChapter": rng.u32(..4)});
                if let Some(epoch) = &self.epoch
                    && rng.bool()
                {
                    input["base"] = json!(format!("{epoch}.{}", self.version));
                    input["onConflict"] = json!("REJECT");
                }
                ("updateProgress", input)
            }
        })
    }

    /// Sends the oldest intent to one of the servers. Its response may be lost, and it is retried.
    async fn send(&mut self, servers: &Servers, model: &mut Model, rng: &mut Rng) {
        let Some(intent) = self.outbox.first().cloned() else {
            return;
        };
        let (query, variables) = (intent.query(), intent.variables(&self.name));
        let mut response = if rng.u32(..3) == 0 {
            servers.second.user("ann").ask(&query, variables).await
        } else {
            servers.execute(&query, variables).await
        };
        model
            .apply_and_check(servers, &intent, &response[intent.mutation].take())
            .await;
        if rng.u32(..4) > 0 {
            self.outbox.remove(0);
        }
    }

    /// Sends the oldest intent to a server that is killed meanwhile, and retries it after the restart.
    async fn send_and_crash(&mut self, servers: &mut Servers, model: &mut Model, rng: &mut Rng) {
        if let Some(intent) = self.outbox.first() {
            let asked = servers
                .first
                .sending("ann", &intent.query(), intent.variables(&self.name));
            servers.crash_during(asked, rng).await;
            self.send(servers, model, rng).await;
        }
    }

    /// Pulls if the stream received a version or was just opened. Returns whether it fetched the last page.
    async fn follow(&mut self, servers: &Servers, rng: &mut Rng) -> bool {
        let is_new = self.stream.is_none();
        self.read_stream(servers, Duration::from_millis(5)).await;
        (is_new || self.cursor.is_some() || self.received != self.version)
            && self.pull(servers, rng).await
    }

    /// Reads the stream for a moment.
    async fn read_stream(&mut self, servers: &Servers, moment: Duration) {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => self.stream.insert(servers.first.watch("ann").await),
        };
        match tokio::time::timeout(moment, stream.next()).await {
            Ok(Some(event)) => self.received = event["version"].as_i64().unwrap(),
            Ok(None) => self.stream = None,
            Err(_) => {}
        }
    }

    async fn read_stream_until(&mut self, servers: &Servers, version: i64) {
        while self.received != version {
            self.read_stream(servers, Duration::from_secs(1)).await;
        }
    }

    /// Requests a page of changes, and applies it. Returns whether it was the last.
    async fn pull(&mut self, servers: &Servers, rng: &mut Rng) -> bool {
        if self.cursor.is_none() && self.version == 0 {
            self.rows.clear();
        }
        let query = "query ($since: Int!, $epoch: ID, $first: Int!, $after: String) { libraryChanges(since: $since, epoch: $epoch, first: $first, after: $after) { version epoch reset hasMore endCursor changes { __typename ... on Tag { id name } ... on Fandom { id name } ... on Story { id title tags { id } fandoms { id } } ... on Progress { id storyId currentChapter } ... on Tombstone { rowId kind } } } }";
        let epoch = self.epoch.clone().filter(|_| self.version > 0);
        let variables = json!({"since": self.version, "epoch": epoch, "first": rng.u32(1..6), "after": self.cursor});
        let page = servers.execute(query, variables).await["libraryChanges"].take();
        if page["reset"] == true {
            (self.version, self.epoch, self.cursor) = (0, None, None);
            self.rows.clear();
            return false;
        }
        for change in page["changes"].as_array().unwrap() {
            self.apply(change);
        }
        if page["hasMore"] == true {
            self.cursor = Some(page["endCursor"].as_str().unwrap().to_owned());
            return false;
        }
        self.cursor = None;
        self.version = page["version"].as_i64().unwrap();
        self.epoch = Some(page["epoch"].as_str().unwrap().to_owned());
        true
    }

    /// Asserts after the last page, while nothing else is written, that the copy equals the model.
    fn assert_equals(&self, model: &Model) {
        assert_eq!(self.version, model.version, "{}", self.name);
        assert_eq!(self.rows, model.rows, "{}", self.name);
    }

    async fn pull_all(&mut self, servers: &Servers, rng: &mut Rng) {
        while !self.pull(servers, rng).await {}
    }

    fn apply(&mut self, change: &Value) {
        let kind = change["__typename"].as_str().unwrap().to_owned();
        let id = if kind == "Tombstone" { "rowId" } else { "id" };
        let id: Uuid = change[id].as_str().unwrap().parse().unwrap();
        let set = |labels: &Value| {
            let ids = labels
                .as_array()
                .unwrap()
                .iter()
                .map(|label| label["id"].as_str().unwrap());
            json!(ids.collect::<BTreeSet<_>>())
        };
        let row = match kind.as_str() {
            "Tag" | "Fandom" => json!({"name": change["name"]}),
            "Story" => {
                json!({"title": change["title"], "tags": set(&change["tags"]), "fandoms": set(&change["fandoms"])})
            }
            "Progress" => {
                json!({"storyId": change["storyId"], "chapter": change["currentChapter"]})
            }
            "Tombstone" => {
                let kind = change["kind"].as_str().unwrap();
                let kind = format!("{}{}", &kind[..1], kind[1..].to_lowercase());
                self.rows.remove(&(kind, id));
                return;
            }
            other => panic!("{other}"),
        };
        self.rows.insert((kind, id), row);
    }

    /// Drops its cursor and stream, like a device that is switched off. Applied pages
    /// stay.
    fn crash(&mut self) {
        self.cursor = None;
        self.stream = None;
    }
}

fn new_id(rng: &mut Rng) -> Uuid {
    uuid::Builder::from_random_bytes(rng.u128(..).to_be_bytes()).into_uuid()
}
