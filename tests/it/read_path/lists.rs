//! The list of progresses: every filter, order and search, compared to a naive reference over the same data.
//!
//! A failure prints the seed of the data; `LIBRARY_SYNC_TEST_SEED=<n>` repeats it.

use std::collections::BTreeSet;

use fastrand::Rng;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use crate::support::test_app::{TestApp, TestDatabase, TestProcess, TestUser, on_each_database};

/// No rate limit.
const NO_RATE_LIMIT: [&str; 2] = ["--max-user-rate", "0"];

const LIST: &str = "query ($first: Int! = 100, $after: String, $filter: ProgressFilter, $orderBy: ProgressOrder) { progresses(first: $first, after: $after, filter: $filter, orderBy: $orderBy) { totalCount pageInfo { hasNextPage endCursor } nodes { id readingStatus currentChapter rating notes stamp createdAt updatedAt story { id title author source publicationStatus description chapterCount wordCount isNsfw tags { id name } fandoms { id name } } } } }";

const ORDERS: [&str; 10] = [
    "STAMP",
    "TITLE",
    "AUTHOR",
    "READING_STATUS",
    "RATING",
    "CURRENT_CHAPTER",
    "UPDATED_AT",
    "CREATED_AT",
    "WORD_COUNT",
    "CHAPTER_COUNT",
];

const WORDS: [&str; 14] = [
    "Éclair",
    "éclair",
    "ΟΔΟΣ",
    "οδος",
    "100%_real!",
    "100x_real",
    "İstanbul",
    "the",
    "The",
    "Straße",
    "a\\b",
    "🙂",
    "river",
    "'quoted'",
];

fn seeded() -> Rng {
    let seed = match std::env::var("LIBRARY_SYNC_TEST_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => fastrand::u64(..),
    };
    // Printed only if the test fails.
    println!("LIBRARY_SYNC_TEST_SEED={seed}");
    Rng::with_seed(seed)
}

fn text(rng: &mut Rng, words: usize) -> String {
    let words: Vec<_> = (0..words).map(|_| *rng.choice(&WORDS).unwrap()).collect();
    words.join(" ")
}

fn maybe<T>(rng: &mut Rng, value: impl FnOnce(&mut Rng) -> T) -> Option<T> {
    rng.bool().then(|| value(rng))
}

/// A random choice of 0 to `most` of these.
fn some_of(rng: &mut Rng, most: usize, of: &[&str]) -> Vec<String> {
    let count = rng.usize(..=most);
    (0..count)
        .map(|_| (*rng.choice(of).unwrap()).to_owned())
        .collect()
}

const SOURCES: [&str; 3] = ["ROYAL_ROAD", "FANFICTION_NET", "OTHER"];
const STORY_STATUSES: [&str; 3] = ["ONGOING", "COMPLETED", "HIATUS"];
const STATUSES: [&str; 5] = ["NOT_STARTED", "READING", "PAUSED", "COMPLETED", "DROPPED"];
const TAGS: [&str; 5] = ["fluff", "angst", "slow burn", "AU", "crack"];
const FANDOMS: [&str; 3] = ["Dune", "Emma", "Ulysses"];

/// An entry to import, with few distinct values, so that some are equal.
fn entry(rng: &mut Rng) -> Value {
    let long = rng.usize(1..4);
    json!({
        "title": text(rng, long),
        "url": format!("https://example.org/{}", Uuid::now_v7()),
        "author": maybe(rng, |rng| text(rng, 1)),
        "source": *rng.choice(SOURCES).unwrap(),
        "publicationStatus": *rng.choice(STORY_STATUSES).unwrap(),
        "description": maybe(rng, |rng| text(rng, 3)),
        "chapterCount": maybe(rng, |rng| rng.i32(0..4)),
        "wordCount": maybe(rng, |rng| rng.i32(0..4) * 100_000),
        "isNsfw": rng.bool(),
        "tags": some_of(rng, 3, &TAGS),
        "fandoms": some_of(rng, 1, &FANDOMS),
        "readingStatus": *rng.choice(STATUSES).unwrap(),
        "currentChapter": rng.i32(0..4),
        "rating": maybe(rng, |rng| f64::from(rng.i32(0..=10)) / 2.0),
        "notes": rng.choice([json!(null), json!(""), json!("the end"), json!("one\nTWO"), json!("%_")]).unwrap(),
    })
}

async fn import(user: &TestUser<'_>, entries: Vec<Value>) {
    let count = entries.len();
    let fields = "importedCount";
    let made = user
        .mutate(
            "importLibrary",
            "ImportLibraryInput",
            json!({"entries": entries}),
            fields,
        )
        .await;
    assert_eq!(made["importedCount"], count, "{made}");
}

/// Fills a library, and changes and removes some of its entries.
async fn fill(user: &TestUser<'_>, rng: &mut Rng, entries: usize) {
    for _ in 0..3 {
        import(user, (0..entries / 3).map(|_| entry(rng)).collect()).await;
    }
    let mut all = walk(user, json!({}), 100).await;
    rng.shuffle(&mut all);
    for row in &all[..entries / 4] {
        match rng.u32(..4) {
            0 => drop(user.delete_progress(&row["id"]).await),
            1 => drop(
                user.update_story(json!({"id": row["story"]["id"], "title": text(rng, 2)}))
                    .await,
            ),
            _ => drop(
                user.update_progress(json!({"id": row["id"], "currentChapter": rng.i32(4..9)}))
                    .await,
            ),
        }
    }
}

/// All pages.
async fn walk(user: &TestUser<'_>, arguments: Value, first: usize) -> Vec<Value> {
    let (mut found, mut after) = (Vec::new(), Value::Null);
    loop {
        let mut variables = arguments.clone();
        variables["first"] = json!(first);
        variables["after"] = after;
        let mut page = user.ask(LIST, variables).await["progresses"].take();
        let nodes = page["nodes"].as_array_mut().unwrap();
        assert!(nodes.len() <= first);
        found.append(nodes);
        after = page["pageInfo"]["endCursor"].take();
        if page["pageInfo"]["hasNextPage"] == false {
            assert_eq!(page["totalCount"], found.len(), "{arguments}");
            return found;
        }
    }
}

fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["id"].as_str().unwrap()).collect()
}

/// A sort key. The reference represents times, ranks and ratings as numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i128),
    Text(String),
}

fn fold(text: &str) -> String {
    text.to_lowercase().replace('ς', "σ")
}

fn key(row: &Value, order: &str) -> (Key, String) {
    let story = &row["story"];
    let or_least = |value: &Value| Key::Number(value.as_i64().unwrap_or(-1).into());
    let tenths = |value: &Value| match value.as_f64() {
        Some(stars) => Key::Number(format!("{:.0}", stars * 10.0).parse().unwrap()),
        None => Key::Number(-1),
    };
    let at = |value: &Value| {
        let at = OffsetDateTime::parse(value.as_str().unwrap(), &Rfc3339).unwrap();
        Key::Number(at.unix_timestamp_nanos())
    };
    let place = |value: &Value| {
        (0..)
            .zip(STATUSES)
            .find(|(_, status)| value == status)
            .unwrap()
            .0
    };
    let (key, id) = match order {
        "STAMP" => (or_least(&row["stamp"]), row),
        "TITLE" => (Key::Text(fold(story["title"].as_str().unwrap())), story),
        "AUTHOR" => (Key::Text(fold(story["author"].as_str().unwrap())), story),
        "READING_STATUS" => (Key::Number(place(&row["readingStatus"])), row),
        "RATING" => (tenths(&row["rating"]), row),
        "CURRENT_CHAPTER" => (or_least(&row["currentChapter"]), row),
        "UPDATED_AT" => (at(&row["updatedAt"]), row),
        "CREATED_AT" => (at(&row["createdAt"]), row),
        "WORD_COUNT" => (or_least(&story["wordCount"]), story),
        "CHAPTER_COUNT" => (or_least(&story["chapterCount"]), story),
        other => panic!("{other}"),
    };
    (key, id["id"].as_str().unwrap().to_owned())
}

fn ordered(mut rows: Vec<Value>, order: &Value) -> Vec<Value> {
    let (field, direction) = match order {
        Value::Null => ("STAMP", "DESC"),
        order => (
            order["field"].as_str().unwrap(),
            order["direction"].as_str().unwrap(),
        ),
    };
    rows.sort_by_key(|row| key(row, field));
    if direction == "DESC" {
        rows.reverse();
    }
    rows
}

fn passes(row: &Value, filter: &Value) -> bool {
    let story = &row["story"];
    let is_one_of = |field: &str, value: &Value| match filter[field].as_array() {
        Some(wanted) if !wanted.is_empty() => wanted.contains(value),
        _ => true,
    };
    let carries = |field: &str| {
        let has: BTreeSet<_> = story[field]
            .as_array()
            .unwrap()
            .iter()
            .map(|label| label["id"].as_str().unwrap())
            .collect();
        let wanted = |which: &str| -> BTreeSet<_> {
            filter[field][which]
                .as_array()
                .into_iter()
                .flatten()
                .map(|id| id.as_str().unwrap())
                .collect()
        };
        let (any, all) = (wanted("any"), wanted("all"));
        (any.is_empty() || !any.is_disjoint(&has)) && all.is_subset(&has)
    };
    let rating = match (&filter["rating"], row["rating"].as_f64()) {
        (Value::Null, _) => true,
        (_, None) => false,
        (range, Some(rating)) => {
            rating >= range["min"].as_f64().unwrap_or(0.0)
                && rating <= range["max"].as_f64().unwrap_or(5.0)
        }
    };
    let texts = [
        &story["title"],
        &story["author"],
        &story["description"],
        &row["notes"],
    ]
    .map(|text| fold(text.as_str().unwrap_or_default()));
    let search = filter["search"].as_str().unwrap_or_default();
    is_one_of("readingStatuses", &row["readingStatus"])
        && is_one_of("publicationStatuses", &story["publicationStatus"])
        && is_one_of("sources", &story["source"])
        && filter["isNsfw"]
            .as_bool()
            .is_none_or(|is| story["isNsfw"] == is)
        && filter["hasNotes"]
            .as_bool()
            .is_none_or(|has| has != row["notes"].as_str().unwrap_or_default().is_empty())
        && rating
        && carries("tags")
        && carries("fandoms")
        && search
            .split_whitespace()
            .all(|word| texts.iter().any(|text| text.contains(&fold(word))))
}

/// Each kind of filter alone.
fn filters(labels: &Value) -> Vec<Value> {
    let (tags, fandoms) = (&labels["tags"], &labels["fandoms"]);
    let mut filters = vec![
        json!(null),
        json!({}),
        json!({"readingStatuses": []}),
        json!({"readingStatuses": ["READING"]}),
        json!({"readingStatuses": ["READING", "DROPPED"]}),
        json!({"publicationStatuses": ["HIATUS"]}),
        json!({"sources": ["FANFICTION_NET", "WATTPAD"]}),
        json!({"isNsfw": true}),
        json!({"isNsfw": false}),
        json!({"rating": {"min": 3.5}}),
        json!({"rating": {"max": 0.5}}),
        json!({"rating": {"min": 2.5, "max": 2.5}}),
        json!({"rating": {}}),
        json!({"hasNotes": true}),
        json!({"hasNotes": false}),
        json!({"tags": {"any": [tags[0]["id"]]}}),
        json!({"tags": {"any": [tags[0]["id"], tags[1]["id"]]}}),
        json!({"tags": {"all": [tags[0]["id"], tags[1]["id"]]}}),
        json!({"tags": {"all": [tags[0]["id"], tags[0]["id"]]}}),
        json!({"tags": {"any": [tags[2]["id"]], "all": [tags[3]["id"]]}, "fandoms": {"any": [fandoms[0]["id"]]}}),
        json!({"fandoms": {"all": [fandoms[1]["id"]]}}),
        json!({"tags": {"any": [Uuid::now_v7()]}}),
        json!({"search": "the ÉCLAIR"}),
        json!({"search": "  "}),
    ];
    let parts = [
        "lai", "οδο", "ΔΟΣ", "%", "_", "!", "%_r", "0%", "\\", "istanbul", "i̇s", "SS", "ß", "🙂",
        "'", "two", "wo", "end the",
    ];
    filters.extend(
        WORDS
            .iter()
            .chain(&parts)
            .map(|search| json!({"search": search})),
    );
    filters
}

fn random_filter(rng: &mut Rng, labels: &Value) -> Value {
    let mut filter = json!({});
    let all = filters(labels);
    for _ in 0..rng.usize(1..4) {
        if let Value::Object(part) = rng.choice(&all).unwrap() {
            filter.as_object_mut().unwrap().extend(part.clone());
        }
    }
    filter
}

fn random_order(rng: &mut Rng) -> Value {
    json!({"field": *rng.choice(ORDERS).unwrap(), "direction": *rng.choice(["ASC", "DESC"]).unwrap()})
}

on_each_database! {
    async fn every_filter_and_every_order_finds_what_a_naive_reference_finds(db: Db) {
        let mut rng = seeded();
        let app = TestApp::start_with(db, &NO_RATE_LIMIT).await;
        let ann = app.user("ann");
        fill(&ann, &mut rng, 90).await;
        // Rows of other users are not found.
        import(&app.user("bob"), (0..50).map(|_| entry(&mut rng)).collect()).await;
        let all = walk(&ann, json!({}), 37).await;
        let labels = ann.ask("{ tags { id } fandoms { id } }", json!({})).await;

        let mut cases = Vec::new();
        for filter in filters(&labels) {
            cases.push((filter, json!(null), 100));
        }
        for field in ORDERS {
            for direction in ["ASC", "DESC"] {
                cases.push((json!(null), json!({"field": field, "direction": direction}), 16));
            }
        }
        for _ in 0..40 {
            cases.push((random_filter(&mut rng, &labels), random_order(&mut rng), rng.usize(1..40)));
        }
        for (filter, order, first) in cases {
            let expected = all.iter().filter(|row| passes(row, &filter)).cloned().collect();
            let expected = ordered(expected, &order);
            let found = walk(&ann, json!({"filter": filter, "orderBy": order}), first).await;
            assert_eq!(ids(&found), ids(&expected), "{filter} {order} by {first}");
        }
    }

    async fn paging_returns_each_remaining_entry_once_despite_concurrent_changes(db: Db) {
        let mut rng = seeded();
        let app = TestApp::start_with(db, &NO_RATE_LIMIT).await;
        let ann = app.user("ann");
        fill(&ann, &mut rng, 60).await;
        let labels = ann.ask("{ tags { id } }", json!({})).await;
        let broad = [
            json!(null),
            json!({"isNsfw": true}),
            json!({"hasNotes": true}),
            json!({"search": "e"}),
            json!({"tags": {"any": [labels["tags"][0]["id"], labels["tags"][1]["id"]]}}),
        ];
        for field in ORDERS {
            let order = json!({"field": field, "direction": *rng.choice(["ASC", "DESC"]).unwrap()});
            let filter = rng.choice(&broad).unwrap();
            let before = walk(&ann, json!({"filter": filter, "orderBy": order}), 100).await;
            let (mut seen, mut gone, mut after) = (Vec::new(), BTreeSet::new(), Value::Null);
            loop {
                let variables = json!({"first": 5, "after": after, "filter": filter, "orderBy": order});
                let page = ann.ask(LIST, variables).await["progresses"].take();
                seen.extend(page["nodes"].as_array().unwrap().iter().cloned());
                after = page["pageInfo"]["endCursor"].clone();
                if page["pageInfo"]["hasNextPage"] == false {
                    break;
                }
                // The deleted entries include the one at the cursor.
                let last = seen.last().unwrap()["id"].clone();
                let other = rng.choice(&before).unwrap()["id"].clone();
                for id in [last, other] {
                    ann.delete_progress(&id).await;
                    gone.insert(id.as_str().unwrap().to_owned());
                }
                import(&ann, vec![entry(&mut rng), entry(&mut rng)]).await;
                // A change of another field keeps the position.
                let changed = rng.choice(&before).unwrap();
                ann.update_story(json!({"id": changed["story"]["id"], "summary": Uuid::now_v7()})).await;
            }
            let distinct: BTreeSet<_> = ids(&seen).into_iter().collect();
            assert_eq!(distinct.len(), seen.len(), "{order}: returned twice");
            let stayed = |rows: &[Value]| -> Vec<String> {
                let was_there = ids(&before);
                ids(rows).into_iter().filter(|id| was_there.contains(id) && !gone.contains(*id)).map(str::to_owned).collect()
            };
            assert_eq!(stayed(&seen), stayed(&before), "{order}: {filter}");
            assert_eq!(ids(&ordered(seen.clone(), &order)), ids(&seen), "{order}");
            import(&ann, (0..gone.len()).map(|_| entry(&mut rng)).collect()).await;
        }
    }

    async fn a_cursor_of_another_order_is_refused(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        ann.add("A").await;
        let title = json!({"field": "TITLE", "direction": "ASC"});
        let page = ann.ask(LIST, json!({"orderBy": title})).await["progresses"].take();
        let cursor = &page["pageInfo"]["endCursor"];
        let forged = {
            use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
            let place = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(cursor.as_str().unwrap()).unwrap()).unwrap();
            [place.replace("\"a\"", "7"), place.replace("\"a\"", "\"\\u0000\"")].map(|place| json!(BASE64_URL_SAFE_NO_PAD.encode(place)))
        };
        let refused = [
            (json!(null), cursor),
            (json!({"field": "AUTHOR", "direction": "ASC"}), cursor),
            (json!({"field": "TITLE", "direction": "DESC"}), cursor),
            (title.clone(), &forged[0]),
            (title.clone(), &forged[1]),
        ];
        for (order, after) in refused {
            let response = ann.send(LIST, json!({"orderBy": order, "after": after})).await;
            let extensions = &response["errors"][0]["extensions"];
            assert_eq!((&extensions["code"], &extensions["field"]), (&json!("BAD_USER_INPUT"), &json!("after")), "{order}: {response}");
        }
    }

    async fn a_filter_that_breaks_a_rule_is_refused(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let many: Vec<_> = (0..101).map(|_| Uuid::now_v7()).collect();
        for (field, filter) in [
            ("search", json!({"search": "a ".repeat(11)})),
            ("search", json!({"search": "é".repeat(201)})),
            ("search", json!({"search": "nul \0"})),
            ("rating", json!({"rating": {"min": 5.1}})),
            ("rating", json!({"rating": {"max": 0.25}})),
            ("tags", json!({"tags": {"any": ["7"]}})),
            ("fandoms", json!({"fandoms": {"all": many}})),
        ] {
            let response = ann.send(LIST, json!({"filter": filter})).await;
            let extensions = &response["errors"][0]["extensions"];
            assert_eq!((&extensions["code"], &extensions["field"]), (&json!("BAD_USER_INPUT"), &json!(field)), "{response}");
        }
    }

    async fn labels_of_another_user_match_no_entry_in_filters(db: Db) {
        let app = TestApp::start(db).await;
        // Both users use the same ids, but only his story has his label.
        let (tag, story) = (Uuid::now_v7(), Uuid::now_v7());
        for (name, tag_ids) in [("ann", json!([])), ("bob", json!([tag]))] {
            let user = app.user(name);
            user.mutate("createTag", "CreateLabelInput", json!({"id": tag, "name": "t"}), "tag { id }").await;
            let made = user.create_story(json!({"title": "A", "url": "https://example.org/a", "storyId": story, "tagIds": tag_ids})).await;
            assert_eq!(made["refusal"], json!(null));
        }
        for which in ["any", "all"] {
            let with_it = json!({"filter": {"tags": {which: [tag]}}});
            assert_eq!(walk(&app.user("bob"), with_it.clone(), 10).await.len(), 1);
            assert_eq!(walk(&app.user("ann"), with_it, 10).await.len(), 0);
        }
        let counted = app.user("ann").ask("{ tags { storyCount } library { stats { topTags { id } } } }", json!({})).await;
        assert_eq!(counted, json!({"tags": [{"storyCount": 0}], "library": {"stats": {"topTags": []}}}));
    }

    async fn a_filtered_page_in_another_order_costs_no_more_statements(db: Db) {
        let database = TestDatabase::new(db).await;
        let server = TestProcess::serve(&database.url, &[]).await;
        let mut rng = seeded();
        let entries: Vec<_> = (0..60).map(|_| entry(&mut rng)).collect();
        let import = "mutation ($input: ImportLibraryInput!) { importLibrary(input: $input) { importedCount } }";
        let made = server.send("ann", import, json!({"input": {"entries": entries}})).await.unwrap();
        assert_eq!(made["data"]["importLibrary"]["importedCount"], 60, "{made}");
        let arguments = json!({
            "filter": {"search": "e", "hasNotes": true, "rating": {"min": 0.0}, "isNsfw": false},
            "orderBy": {"field": "TITLE", "direction": "ASC"},
        });
        let (cost, page) = server.statements(|| server.send("ann", LIST, arguments.clone())).await;
        let page = page.unwrap();
        assert!(page["data"]["progresses"]["totalCount"].as_i64().unwrap() > 0, "{page}");
        // The head, the page, the count, the stories, the tags, the fandoms.
        assert!(cost < 6.5, "{cost}");
    }

    async fn the_statistics_equal_a_naive_count(db: Db) {
        let mut rng = seeded();
        let app = TestApp::start_with(db, &NO_RATE_LIMIT).await;
        let ann = app.user("ann");
        let query = "{ library { version epoch floor stats { version storyCount readingStatusCounts { notStarted reading paused completed dropped } ratedCount averageRating withNotesCount nsfwCount readChapterCount chapterCount wordCount tagCount fandomCount topTags(first: 2) { name storyCount } topFandoms { name storyCount } } } }";
        let empty = ann.ask(query, json!({})).await["library"].take();
        assert_eq!((&empty["version"], &empty["floor"]), (&json!(1), &json!(0)));
        assert_eq!((&empty["stats"]["storyCount"], &empty["stats"]["averageRating"]), (&json!(0), &json!(null)));

        fill(&ann, &mut rng, 60).await;
        ann.create_tag("on no story").await;
        import(&app.user("bob"), vec![entry(&mut rng)]).await;
        let all = walk(&ann, json!({}), 100).await;
        let library = ann.ask(query, json!({})).await["library"].take();
        let version = json!(ann.version().await);
        let stats = &library["stats"];
        assert_eq!((&library["version"], &stats["version"]), (&version, &version));
        assert!(library["epoch"].as_str().unwrap().parse::<i64>().unwrap() > 0);

        let count = |is: &dyn Fn(&Value) -> bool| json!(all.iter().filter(|row| is(row)).count());
        let sum = |of: &dyn Fn(&Value) -> &Value| json!(all.iter().map(|row| of(row).as_f64().unwrap_or(0.0)).sum::<f64>());
        assert_eq!(stats["storyCount"], all.len());
        for (field, status) in ["notStarted", "reading", "paused", "completed", "dropped"].iter().zip(STATUSES) {
            assert_eq!(stats["readingStatusCounts"][field], count(&|row| row["readingStatus"] == status), "{field}");
        }
        assert_eq!(stats["ratedCount"], count(&|row| !row["rating"].is_null()));
        let mean = sum(&|row| &row["rating"]).as_f64().unwrap() / stats["ratedCount"].as_f64().unwrap();
        assert!((stats["averageRating"].as_f64().unwrap() - mean).abs() < 1e-9);
        assert_eq!(stats["withNotesCount"], count(&|row| row["notes"].as_str().is_some_and(|notes| !notes.is_empty())));
        assert_eq!(stats["nsfwCount"], count(&|row| row["story"]["isNsfw"] == true));
        assert_eq!(stats["readChapterCount"], sum(&|row| &row["currentChapter"]));
        assert_eq!(stats["chapterCount"], sum(&|row| &row["story"]["chapterCount"]));
        assert_eq!(stats["wordCount"], sum(&|row| &row["story"]["wordCount"]));
        assert_eq!((&stats["tagCount"], &stats["fandomCount"]), (&json!(TAGS.len() + 1), &json!(FANDOMS.len())));

        for (field, top, most) in [("tags", "topTags", 2), ("fandoms", "topFandoms", 10)] {
            let mut counts = std::collections::BTreeMap::<&str, usize>::new();
            for label in all.iter().flat_map(|row| row["story"][field].as_array().unwrap()) {
                *counts.entry(label["name"].as_str().unwrap()).or_default() += 1;
            }
            let mut counts: Vec<_> = counts.into_iter().collect();
            counts.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), fold(name)));
            let expected: Vec<_> = counts.iter().take(most).map(|(name, count)| json!({"name": name, "storyCount": count})).collect();
            assert_eq!(stats[top], json!(expected));
        }
    }
}
