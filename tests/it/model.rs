//! Random devices against a model: whatever is written, lost, replayed, purged or renumbered in between, every device
//! ends with the server's library, and the server's is the model's.
//!
//! A run is decided by its seed, which a failure prints; `LIBRARY_SYNC_TEST_SEED=<n>` repeats it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fastrand::Rng;
use library_sync::library::Retention;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::test_app::{Db, TestApp, on_each_database};

/// A row by kind and id, as far as the model knows it.
type Rows = BTreeMap<(String, Uuid), Value>;

on_each_database! {
    async fn every_device_ends_with_the_servers_library(db: Db) {
        let seeds = match std::env::var("LIBRARY_SYNC_TEST_SEED") {
            Ok(seed) => vec![seed.parse().expect("a number")],
            Err(_) => (0..4).map(|_| fastrand::u64(..)).collect(),
        };
        for seed in seeds {
            // Shown only if the test fails.
            println!("LIBRARY_SYNC_TEST_SEED={seed}");
            run(db, seed).await;
        }
    }
}

async fn run(db: Db, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut app = TestApp::start(db).await;
    let mut model = Model {
        version: 1,
        ..Model::default()
    };
    let mut devices: Vec<_> = (0..3)
        .map(|n| Device {
            name: format!("device {n}"),
            ..Device::default()
        })
        .collect();
    for step in 0..400 {
        let device = &mut devices[rng.usize(..3)];
        match rng.u32(..100) {
            0..35 => device.intend(&mut rng, &model),
            35..65 => device.send(&app, &mut model, &mut rng).await,
            65..90 => {
                if device.pull(&app, &mut rng).await {
                    device.agrees_with(&model);
                }
            }
            90..93 => device.crash(),
            93..98 => {
                let all = Retention {
                    history: Duration::ZERO,
                    receipts: Duration::from_hours(1),
                };
                app.library.purge(all).await.unwrap();
            }
            98 if rng.bool() => {
                let user = library_sync::version::UserId::new("ann").unwrap();
                app.library.begin_epoch(Some(&user)).await.unwrap();
            }
            98 if step % 2 == 0 => app = app.restart(&[]).await,
            _ => app.user("bob").add("noise").await["libraryVersion"]
                .as_i64()
                .map_or((), drop),
        }
    }
    for device in &mut devices {
        while !device.outbox.is_empty() {
            device.send(&app, &mut model, &mut rng).await;
        }
    }
    assert_eq!(app.user("ann").version().await, model.version);
    for device in &mut devices {
        device.pull_to_the_end(&app, &mut rng).await;
        device.agrees_with(&model);
    }
    let mut newcomer = Device::default();
    newcomer.pull_to_the_end(&app, &mut rng).await;
    assert_eq!(newcomer.rows, model.rows, "a device that had nothing");
}

/// A mutation that a device wants made.
#[derive(Debug, Clone)]
struct Intent {
    key: String,
    mutation: &'static str,
    input: Value,
}

/// What the library must be, and what each intent was answered.
#[derive(Default)]
struct Model {
    version: i64,
    rows: Rows,
    urls: BTreeMap<Uuid, String>,
    story_of: BTreeMap<Uuid, Uuid>,
    removed: Vec<Uuid>,
    answers: BTreeMap<String, Value>,
}

impl Model {
    /// Makes the change if it was not made before; says whether it is refused.
    fn apply(&mut self, intent: &Intent) -> bool {
        let before = self.rows.clone();
        let made = self.change(intent);
        if made.is_none() {
            self.rows = before;
        } else if self.rows != before {
            self.version += 1;
        }
        made.is_none()
    }

    fn change(&mut self, intent: &Intent) -> Option<()> {
        let input = &intent.input;
        let id = |field: &str| input[field].as_str().map(|id| id.parse::<Uuid>().unwrap());
        match intent.mutation {
            "createTag" => {
                let (id, name) = (id("id")?, &input["name"]);
                let taken = |(key, row): (&(String, Uuid), &Value)| {
                    key.0 == "Tag" && (key.1 == id || row["name"] == *name)
                };
                if self.rows.iter().any(taken) {
                    return None;
                }
                self.rows.insert(("Tag".into(), id), json!({"name": name}));
            }
            "createStoryWithProgress" => {
                let (story, progress) = (id("storyId")?, id("progressId")?);
                let url = input["url"].as_str()?.to_owned();
                let taken = self.urls.values().any(|it| *it == url)
                    || self.rows.contains_key(&("Story".into(), story))
                    || self.rows.contains_key(&("Progress".into(), progress));
                if taken {
                    return None;
                }
                let tags = self.known(&input["tagIds"])?;
                self.rows.insert(
                    ("Story".into(), story),
                    json!({"title": input["title"], "tags": tags}),
                );
                self.rows.insert(
                    ("Progress".into(), progress),
                    json!({"storyId": story, "chapter": 0}),
                );
                self.urls.insert(story, url);
                self.story_of.insert(progress, story);
            }
            "updateStoryWithRelations" => {
                let key = ("Story".to_owned(), id("storyId")?);
                let mut row = self.rows.get(&key)?.clone();
                if !input["title"].is_null() {
                    row["title"] = input["title"].clone();
                }
                if !input["tagIds"].is_null() {
                    row["tags"] = self.known(&input["tagIds"])?;
                }
                self.rows.insert(key, row);
            }
            "updateProgress" => {
                let row = self.rows.get_mut(&("Progress".to_owned(), id("id")?))?;
                row["chapter"] = input["currentChapter"].clone();
            }
            "deleteProgress" => {
                let progress = id("id")?;
                self.rows.remove(&("Progress".to_owned(), progress))?;
                let story = self.story_of[&progress];
                self.rows.remove(&("Story".to_owned(), story));
                self.urls.remove(&story);
                self.removed.push(story);
            }
            other => panic!("{other}"),
        }
        Some(())
    }

    /// These ids, sorted, if each is a tag's.
    fn known(&self, ids: &Value) -> Option<Value> {
        let ids: BTreeSet<_> = ids
            .as_array()?
            .iter()
            .map(|id| id.as_str().unwrap().to_owned())
            .collect();
        let is_known = |id: &String| {
            self.rows
                .contains_key(&("Tag".to_owned(), id.parse().unwrap()))
        };
        ids.iter().all(is_known).then(|| json!(ids))
    }
}

/// A device: its copy of the library, and what it still has to send.
#[derive(Default)]
struct Device {
    name: String,
    version: i64,
    epoch: Option<String>,
    rows: Rows,
    /// Where its walk stands, if it is in one.
    walk: Option<String>,
    outbox: Vec<Intent>,
    made: u64,
}

impl Device {
    /// Wants something that makes sense by its own, perhaps old, copy.
    fn intend(&mut self, rng: &mut Rng, model: &Model) {
        let own = |kind: &str| {
            self.rows
                .keys()
                .filter(|key| key.0 == kind)
                .map(|key| key.1)
                .collect::<Vec<_>>()
        };
        let tags = own("Tag");
        let some_tags: Vec<_> = tags.iter().filter(|_| rng.bool()).collect();
        let (mutation, input) = match rng.u32(..10) {
            0..2 => (
                "createTag",
                json!({"id": new_id(rng), "name": format!("tag {}", rng.u32(..12))}),
            ),
            2..5 => {
                // Sometimes one that was removed is made again under its id.
                let gone = model.removed.last().copied().filter(|_| rng.u32(..3) == 0);
                let url = format!("https://example.org/{}", rng.u32(..40));
                let input = json!({
                    "storyId": gone.unwrap_or_else(|| new_id(rng)), "progressId": new_id(rng), "url": url,
                    "title": format!("title {}", rng.u32(..9)), "tagIds": some_tags,
                });
                ("createStoryWithProgress", input)
            }
            5..7 if !own("Story").is_empty() => {
                let stories = own("Story");
                let story = stories[rng.usize(..stories.len())];
                let title = rng.bool().then(|| json!(format!("title {}", rng.u32(..3))));
                let mut input = json!({"storyId": story});
                if let Some(title) = title {
                    input["title"] = title;
                }
                if rng.bool() {
                    input["tagIds"] = json!(some_tags);
                }
                ("updateStoryWithRelations", input)
            }
            _ if !own("Progress").is_empty() => {
                let progresses = own("Progress");
                let id = progresses[rng.usize(..progresses.len())];
                if rng.u32(..3) == 0 {
                    ("deleteProgress", json!({"id": id}))
                } else {
                    (
                        "updateProgress",
                        json!({"id": id, "currentChapter": rng.u32(..4)}),
                    )
                }
            }
            _ => return,
        };
        self.made += 1;
        self.outbox.push(Intent {
            key: format!("{}/{}", self.name, self.made).replace(' ', "-"),
            mutation,
            input,
        });
    }

    /// Sends the oldest intent; its answer may get lost, and it is sent again.
    async fn send(&mut self, app: &TestApp, model: &mut Model, rng: &mut Rng) {
        let Some(intent) = self.outbox.first().cloned() else {
            return;
        };
        let mut input = intent.input.clone();
        input["idempotencyKey"] = json!(intent.key);
        input["device"] = json!({"id": self.name});
        let kind = match intent.mutation {
            "createTag" => "CreateLabelInput".to_owned(),
            mutation => format!("{}{}Input", mutation[..1].to_uppercase(), &mutation[1..]),
        };
        let answer = app
            .user("ann")
            .mutate(intent.mutation, &kind, input, "")
            .await;
        if let Some(before) = model.answers.get(&intent.key) {
            assert_eq!(&answer, before, "a replay of {intent:?}");
        } else {
            let refused = model.apply(&intent);
            assert_eq!(
                !answer["refusal"].is_null(),
                refused,
                "{intent:?}: {answer}"
            );
            assert_eq!(answer["libraryVersion"], model.version, "{intent:?}");
            model.answers.insert(intent.key.clone(), answer);
        }
        if rng.u32(..4) > 0 {
            self.outbox.remove(0);
        }
    }

    /// Asks for a page of what changed, and applies it.
    async fn pull(&mut self, app: &TestApp, rng: &mut Rng) -> bool {
        if self.walk.is_none() && self.version == 0 {
            self.rows.clear();
        }
        let query = "query ($since: Int!, $epoch: ID, $first: Int!, $after: String) { libraryChanges(since: $since, epoch: $epoch, first: $first, after: $after) { version epoch reset hasMore endCursor changes { __typename ... on Tag { id name } ... on Story { id title tags { id } } ... on Progress { id storyId currentChapter } ... on Tombstone { id kind } } } }";
        let epoch = self.epoch.clone().filter(|_| self.version > 0);
        let variables = json!({"since": self.version, "epoch": epoch, "first": rng.u32(1..6), "after": self.walk});
        let page = app.user("ann").ask(query, variables).await["libraryChanges"].take();
        if page["reset"] == true {
            *self = Self {
                version: 0,
                epoch: None,
                walk: None,
                rows: Rows::new(),
                ..std::mem::take(self)
            };
            return false;
        }
        for change in page["changes"].as_array().unwrap() {
            self.apply(change);
        }
        if page["hasMore"] == true {
            self.walk = Some(page["endCursor"].as_str().unwrap().to_owned());
            return false;
        }
        self.walk = None;
        self.version = page["version"].as_i64().unwrap();
        self.epoch = Some(page["epoch"].as_str().unwrap().to_owned());
        true
    }

    /// At the end of a walk: nothing else was written since its last page.
    fn agrees_with(&self, model: &Model) {
        assert_eq!(self.version, model.version, "{}", self.name);
        assert_eq!(self.rows, model.rows, "{}", self.name);
    }

    async fn pull_to_the_end(&mut self, app: &TestApp, rng: &mut Rng) {
        while !self.pull(app, rng).await {}
    }

    fn apply(&mut self, change: &Value) {
        let id: Uuid = change["id"].as_str().unwrap().parse().unwrap();
        let kind = change["__typename"].as_str().unwrap().to_owned();
        let row = match kind.as_str() {
            "Tag" => json!({"name": change["name"]}),
            "Story" => {
                let tags: BTreeSet<_> = change["tags"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|tag| tag["id"].as_str().unwrap())
                    .collect();
                json!({"title": change["title"], "tags": tags})
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

    /// Forgets the walk that it was in, as a device does that is switched off; what it applied of it stays.
    fn crash(&mut self) {
        self.walk = None;
    }
}

fn new_id(rng: &mut Rng) -> Uuid {
    uuid::Builder::from_random_bytes(rng.u128(..).to_be_bytes()).into_uuid()
}
