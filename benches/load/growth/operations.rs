//! The operations that are timed.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    Reader,
    libraries::{DELETED, ON_ALL, ON_ONE, progress, tag, url},
};

/// How often each operation is timed, unless it can be done only so many times.
const TIMES: usize = 7;

/// Entries of the import. A smaller library has each of its stories several times in it.
const IMPORTED: usize = 5_000;

const PAGE: &str = "query ($after: String, $orderBy: ProgressOrder, $filter: ProgressFilter) { progresses(first: 20, after: $after, orderBy: $orderBy, filter: $filter) { pageInfo { endCursor } nodes { id story { title tags { name } } } } }";
const COUNTED: &str = "query ($filter: ProgressFilter) { progresses(first: 20, filter: $filter) { totalCount nodes { id story { title } } } }";
const STATS: &str =
    "{ library { stats { storyCount averageRating readingStatusCounts { reading } wordCount } } }";
const TAGS: &str = "{ tags { id storyCount } }";
const CHANGES: &str = "query ($since: Int!) { libraryChanges(since: $since, first: 1000) { hasMore endCursor changes { __typename ... on Story { id title tags { name } } ... on Progress { id } } } }";
const UPDATE: &str =
    "mutation ($input: UpdateProgressInput!) { updateProgress(input: $input) { libraryVersion } }";
const IMPORT: &str = "mutation ($input: ImportLibraryInput!) { importLibrary(input: $input) { libraryVersion duplicateCount } }";
const DELETE: &str =
    "mutation ($input: DeleteLabelInput!) { deleteTag(input: $input) { libraryVersion } }";

/// A page of an initial sync.
pub const WALK: &str = "query ($after: String) { libraryChanges(since: 0, first: 1000, after: $after) { hasMore endCursor changes { __typename ... on Story { id title description tags { name } } ... on Progress { id readingStatus currentChapter } ... on Tag { id name } } } }";

/// An operation, as the requests that do it once each.
pub struct Operation {
    pub name: &'static str,
    pub bodies: Vec<Value>,
}

impl Operation {
    fn again(name: &'static str, query: &str, variables: &Value) -> Self {
        let body = json!({"query": query, "variables": variables});
        Self {
            name,
            bodies: vec![body; TIMES],
        }
    }

    fn each(name: &'static str, query: &str, variables: impl Iterator<Item = Value>) -> Self {
        let body = |variables| json!({"query": query, "variables": variables});
        Self {
            name,
            bodies: variables.map(body).collect(),
        }
    }
}

/// The operations on a library. `round` differs each time that they are done.
pub async fn operations(reader: &mut Reader, round: usize) -> Vec<Operation> {
    let mut all = pages(reader).await;
    let user = reader.user;
    let version = reader.ask(&json!({"query": "{ libraryVersion }"})).await;
    let version = version["libraryVersion"].as_i64().unwrap();
    let search = |text: &str| json!({"filter": {"search": text}});
    let chapter = |number| json!({"input": {"id": progress(user, 1), "currentChapter": round * 100 + number}});
    let entry = |number| json!({"title": "Again", "url": url(user, number)});
    let numbers = (1..=reader.stories).cycle().take(IMPORTED);
    let entries: Vec<_> = numbers.map(entry).collect();
    all.extend([
        Operation::again("search, no match", PAGE, &search("nowhere")),
        Operation::again("search, all match, with total", COUNTED, &search("story")),
        Operation::again("total without filter", COUNTED, &json!({})),
        Operation::again("stats", STATS, &json!({})),
        Operation::again("tags with number of stories", TAGS, &json!({})),
        Operation::again("first page of changes", CHANGES, &json!({"since": 0})),
        Operation::again("version", "{ libraryVersion }", &json!({})),
        Operation::again(
            "changes since the version before",
            CHANGES,
            &json!({"since": version - 1}),
        ),
        Operation::each("updateProgress", UPDATE, (0..TIMES).map(chapter)),
        Operation::again(
            "import of the same 5,000",
            IMPORT,
            &json!({"input": {"entries": entries}}),
        ),
    ]);
    if let Some(number) = DELETED.get(round - 1) {
        let delete = [json!({"input": {"id": tag(user, *number)}})];
        all.push(Operation::each(
            "deleteTag on all stories",
            DELETE,
            delete.into_iter(),
        ));
    }
    all
}

/// First and late pages of lists.
async fn pages(reader: &mut Reader) -> Vec<Operation> {
    let order = |field: &str, direction: &str| json!({"field": field, "direction": direction});
    let tagged = |number| json!({"tags": {"all": [tag(reader.user, number)]}});
    let (on_all, on_one) = (tagged(ON_ALL), tagged(ON_ONE));
    let lists = [
        ("list", "list, late page", json!({})),
        (
            "list by update",
            "list by update, late page",
            json!({"orderBy": order("UPDATED_AT", "DESC")}),
        ),
        (
            "list by rating",
            "list by rating, late page",
            json!({"orderBy": order("RATING", "DESC")}),
        ),
        (
            "tag on all stories",
            "tag on all stories, late page",
            json!({"filter": on_all}),
        ),
        (
            "tag on all stories, by title",
            "tag on all stories, by title, late page",
            json!({"filter": on_all, "orderBy": order("TITLE", "ASC")}),
        ),
        ("tag on one story", "", json!({"filter": on_one})),
        (
            "tag on one story, by title",
            "",
            json!({"filter": on_one, "orderBy": order("TITLE", "ASC")}),
        ),
    ];
    let mut all = Vec::new();
    for (name, late, variables) in lists {
        all.push(Operation::again(name, PAGE, &variables));
        if !late.is_empty() {
            let page = reader
                .ask(&json!({"query": PAGE, "variables": variables}))
                .await;
            let end = page["progresses"]["pageInfo"]["endCursor"].as_str();
            let mut variables = variables;
            variables["after"] = json!(end.map(|end| moved(end, reader.stories)));
            all.push(Operation::again(late, PAGE, &variables));
        }
    }
    all
}

/// A cursor nine tenths of the way from the start of the list of a `cursor`.
fn moved(cursor: &str, stories: usize) -> String {
    let text = BASE64_URL_SAFE_NO_PAD.decode(cursor).unwrap();
    let mut place: Value = serde_json::from_slice(&text).unwrap();
    let value = &mut place["value"];
    *value = match value {
        Value::String(_) => json!(format!("story {:06}", stories * 9 / 10)),
        // Ratings are below 51.
        Value::Number(number) if number.as_u64().is_some_and(|number| number <= 50) => json!(5),
        _ => json!(stories / 10),
    };
    BASE64_URL_SAFE_NO_PAD.encode(place.to_string())
}
