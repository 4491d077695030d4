//! The fast path of `updateProgress` on PostgreSQL does what the transaction does.

use std::collections::BTreeSet;

use futures_util::future::{join, join_all};
use library_sync::{
    library::{
        Against, Device, IdempotencyKey, Intent, Library, OnConflict, Once, Progress, ProgressId,
        ProgressPatch, ProgressStatus, Rating, Updated, Written,
    },
    version::{Head, UserId},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    statements::Statements,
    test_app::{Db, TestApp, TestDatabase, soon},
};

/// Changes of the program that both ways run.
const CHANGES: usize = 200;

/// Every how many changes at least one must have taken the fast path.
const RARE: usize = 4;

/// One change of a random program, for any user.
#[derive(Debug, Clone)]
struct Change {
    progress: ProgressId,
    device: Option<&'static str>,
    /// How many changes before this one its base was current.
    base: Option<usize>,
    on_conflict: Option<OnConflict>,
    rewind: bool,
    patch: ProgressPatch,
    key: Option<String>,
}

impl Change {
    fn random(rng: &mut fastrand::Rng, progresses: &[ProgressId], number: usize) -> Self {
        use ProgressStatus::{Paused, Reading};
        let base = rng.bool().then(|| [0, 0, 1, 5][rng.usize(..4)]);
        let policies = [None, Some(OnConflict::Merge), Some(OnConflict::Overwrite)];
        let notes = ["", "a \"b\"\n\u{1f4da}\u{7f}", "longer notes than before"];
        let mut patch = ProgressPatch::default();
        if rng.u8(..3) > 0 {
            patch.current_chapter = Some(rng.i32(0..40));
        }
        if rng.bool() {
            patch.status = Some([Reading, Paused][rng.usize(..2)]);
        }
        if rng.u8(..4) == 0 {
            let rating = f64::from(rng.u8(..=50)) / 10.0;
            patch.rating = Some(rng.bool().then(|| Rating::from_stars(rating).unwrap()));
        }
        if rng.u8(..3) == 0 {
            let text = notes[rng.usize(..3)].to_owned();
            patch.notes = Some((!text.is_empty()).then_some(text));
        }
        Self {
            progress: progresses[rng.usize(..progresses.len())],
            device: [None, Some("phone"), Some("tablet")][rng.usize(..3)],
            base,
            on_conflict: policies[rng.usize(..if base.is_some() { 3 } else { 1 })],
            rewind: rng.u8(..5) == 0,
            patch,
            key: rng.bool().then(|| format!("key {number}")),
        }
    }

    /// Runs it, on the fast path or in a transaction.
    async fn run(
        &self,
        library: &Library,
        user: &UserId,
        heads: &[Head],
        is_fast: bool,
    ) -> Written<Updated<Progress>> {
        let base = self
            .base
            .map(|ago| heads[heads.len().saturating_sub(1 + ago)]);
        let against = Against::new(base, self.on_conflict, self.rewind).unwrap();
        let (id, patch) = (self.progress, self.patch.clone());
        let once = self.key.clone().map(|key| {
            // The epochs of the two users differ, so the base is not part of the fingerprint.
            let key = IdempotencyKey::new(key).unwrap();
            Once::of_change(key, "updateProgress", &(id.0, &patch)).unwrap()
        });
        let device = self
            .device
            .map(|id| Device::new(id.to_owned(), Some("A".to_owned())));
        let intent = Intent {
            device: device.map(Result::unwrap),
            once,
            ..Intent::default()
        };
        let written = if is_fast {
            soon(
                "a change",
                library.update_progress(user, intent, id, patch, against),
            )
            .await
        } else {
            let change = library.write(user, intent, move |writer| {
                Box::pin(writer.update_progress(id, patch, against))
            });
            soon("a change", change).await
        };
        written.unwrap()
    }
}

/// What a client sees of a change, without times and epochs.
fn shown(written: &Written<Updated<Progress>>) -> Value {
    let outcome = match &written.outcome {
        Ok(updated) => json!({"row": updated.row, "left": updated.left}),
        Err(refusal) => json!({"refusal": refusal}),
    };
    let mut shown =
        json!({"version": written.head.version, "replayed": written.replayed, "outcome": outcome});
    strip(&mut shown);
    shown
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !matches!(name.as_str(), "created_at" | "updated_at" | "at"));
            fields.values_mut().for_each(strip);
        }
        Value::Array(values) => values.iter_mut().for_each(strip),
        _ => {}
    }
}

/// All rows of a user, without times and epochs. The sizes of receipts depend on the digits of their times.
async fn rows(db: &TestDatabase, user: &str) -> Vec<String> {
    let mut rows = Vec::new();
    for (table, owner, order, answer) in [
        ("topaz_user", "subject", "subject", "''"),
        ("topaz_progress", "user_id", "id", "''"),
        ("topaz_write", "user_id", "version", "''"),
        (
            "topaz_field_change",
            "user_id",
            "kind, id, field, stamp",
            "''",
        ),
        ("topaz_tombstone", "user_id", "id", "''"),
        (
            "topaz_receipt",
            "user_id",
            "idempotency_key",
            r#"regexp_replace(answer, '"(created_at|updated_at|at)":\[[^\]]*\]', '', 'g')"#,
        ),
    ] {
        let random = match table {
            "topaz_user" => ",id",
            "topaz_receipt" => ",answer,total",
            _ => "",
        };
        let hidden = format!(
            "user_id,subject,epoch,library_epoch,created_at,updated_at,changed_at,written_at{random}"
        );
        let sql = format!(
            "SELECT coalesce(string_agg((to_jsonb(t) - '{{{hidden}}}'::text[])::text || {answer}, chr(10) ORDER BY {order}), '') \
             FROM {table} t WHERE {owner} = '{user}'"
        );
        rows.push(format!("{table}\n{}", db.scalar::<String>(&sql).await));
    }
    rows
}

/// The rules that hold between a user's rows, as SQL that counts the exceptions.
const EXCEPTIONS: [(&str, &str); 3] = [
    (
        "a change of a field has the time of its write",
        "SELECT count(*) FROM topaz_field_change c WHERE NOT EXISTS (SELECT 1 FROM topaz_write w \
         WHERE w.user_id = c.user_id AND w.version = c.stamp AND w.written_at = c.changed_at)",
    ),
    (
        "a progress has the time of its write",
        "SELECT count(*) FROM topaz_progress p WHERE NOT EXISTS (SELECT 1 FROM topaz_write w \
         WHERE w.user_id = p.user_id AND w.version = p.stamp AND w.written_at = p.updated_at)",
    ),
    (
        "a receipt's total is the sum of the sizes up to it",
        "SELECT count(*) FROM (SELECT total, sum(256 + octet_length(answer)) OVER (PARTITION BY user_id ORDER BY total) AS sum \
         FROM topaz_receipt) AS r WHERE total <> sum",
    ),
];

/// Creates the same two entries for a user, and returns their progresses.
async fn two_entries(app: &TestApp, user: &str, ids: [Uuid; 4]) -> Vec<ProgressId> {
    let [one, two, of_one, of_two] = ids;
    for (story, progress) in [(one, of_one), (two, of_two)] {
        let url = format!("https://example.org/{story}");
        let input = json!({"storyId": story, "progressId": progress, "title": "A", "url": url, "currentChapter": 5});
        app.user(user).create_story(input).await;
    }
    vec![ProgressId(of_one), ProgressId(of_two)]
}

#[tokio::test]
async fn a_change_on_the_fast_path_equals_one_in_a_transaction() {
    let statements = Statements::default();
    let _counted = metrics::set_default_local_recorder(&statements);
    let app = TestApp::start(Db::Postgres).await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let ids = std::array::from_fn(|_| Uuid::now_v7());
    let users = ["fast", "slow"].map(|name| UserId::new(name).unwrap());
    let mut progresses = Vec::new();
    let mut heads = [Vec::new(), Vec::new()];
    for (user, heads) in users.iter().zip(&mut heads) {
        progresses = two_entries(&app, user.as_str(), ids).await;
        heads.push(app.library.head(user).await.unwrap());
    }
    let (mut changes, mut fast): (Vec<Change>, _) = (Vec::new(), 0);
    for number in 0..CHANGES {
        let mut change = Change::random(&mut rng, &progresses, number);
        if rng.u8(..6) == 0 && !changes.is_empty() {
            // A retry, or another change under the same key.
            change.key = changes[rng.usize(..changes.len())].key.clone();
            if rng.bool() {
                change = changes[rng.usize(..changes.len())].clone();
            }
        }
        let before = statements.count();
        let by_fast = change.run(&app.library, &users[0], &heads[0], true).await;
        fast += usize::from(
            statements.count() - before == 2 && by_fast.head != *heads[0].last().unwrap(),
        );
        let by_slow = change.run(&app.library, &users[1], &heads[1], false).await;
        assert_eq!(shown(&by_fast), shown(&by_slow), "{number}: {change:?}");
        for (heads, written) in heads.iter_mut().zip([by_fast, by_slow]) {
            let newest = *heads.last().unwrap();
            heads.push(newest.max(written.head));
        }
        changes.push(change);
    }
    let tables = rows(&app.db, "fast").await.into_iter();
    for (by_fast, by_slow) in tables.zip(rows(&app.db, "slow").await) {
        assert_eq!(by_fast, by_slow);
    }
    for (rule, exceptions) in EXCEPTIONS {
        assert_eq!(app.db.scalar::<i64>(exceptions).await, 0, "{rule}");
    }
    assert!(fast > CHANGES / RARE, "{fast} of {CHANGES}");
}

/// A change of the notes, which nothing resolves.
async fn note(
    app: &TestApp,
    user: &UserId,
    id: ProgressId,
    notes: &str,
    key: Option<&str>,
) -> Written<Updated<Progress>> {
    let patch = ProgressPatch {
        notes: Some(Some(notes.to_owned())),
        ..ProgressPatch::default()
    };
    let against = Against::new(None, None, false).unwrap();
    let once = key.map(|key| {
        let key = IdempotencyKey::new(key.to_owned()).unwrap();
        Once::of_change(key, "updateProgress", &(id.0, &patch, against)).unwrap()
    });
    let intent = Intent {
        once,
        ..Intent::default()
    };
    let change = app
        .library
        .update_progress(user, intent, id, patch, against);
    soon("a change", change).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_nodes_that_change_one_progress_none_loses_a_change() {
    const RACES: usize = 1_000;
    let database = TestDatabase::new(Db::Postgres).await;
    let nodes = [
        TestApp::start_on(database.shared(), &[]).await,
        TestApp::start_on(database.shared(), &[]).await,
    ];
    let ann = UserId::new("ann").unwrap();
    let ids = two_entries(&nodes[0], "ann", std::array::from_fn(|_| Uuid::now_v7())).await;
    let first = nodes[0].library.head(&ann).await.unwrap().version.number();
    let mut written = Vec::new();
    for race in 0..RACES {
        let texts = ["a", "b"].map(|node| format!("{race} of {node}"));
        let (a, b) = join(
            note(&nodes[0], &ann, ids[0], &texts[0], None),
            note(&nodes[1], &ann, ids[0], &texts[1], None),
        )
        .await;
        for (made, text) in [a, b].into_iter().zip(texts) {
            let row = made.outcome.unwrap().row;
            assert_eq!(
                (row.state.notes, row.stamp),
                (Some(text.clone()), made.head.version)
            );
            written.push((made.head.version.number(), text));
        }
    }
    written.sort();
    let versions: Vec<_> = written.iter().map(|(version, _)| *version).collect();
    let expected: Vec<_> = (first + 1..).take(2 * RACES).collect();
    assert_eq!(versions, expected, "each change is one step");
    // The value before each change is the one that the change before it made.
    let sql =
        "SELECT string_agg(was, ';' ORDER BY stamp) FROM topaz_field_change WHERE field = 'notes'";
    let was: String = database.scalar(sql).await;
    let mut expected = vec!["null".to_owned()];
    expected.extend(written.iter().map(|(_, text)| format!("\"{text}\"")));
    expected.pop();
    assert_eq!(was.split(';').collect::<Vec<_>>(), expected);
    let logged: i64 = database.scalar("SELECT count(*) FROM topaz_write").await;
    assert_eq!(usize::try_from(logged).unwrap(), 2 * RACES + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_get_one_idempotency_key_make_one_change() {
    let database = TestDatabase::new(Db::Postgres).await;
    let nodes = [
        TestApp::start_on(database.shared(), &[]).await,
        TestApp::start_on(database.shared(), &[]).await,
    ];
    let ann = UserId::new("ann").unwrap();
    let ids = two_entries(&nodes[0], "ann", std::array::from_fn(|_| Uuid::now_v7())).await;
    for round in 0..50 {
        let (key, text) = (format!("key {round}"), format!("notes {round}"));
        let before = nodes[0].library.head(&ann).await.unwrap();
        let sends = nodes
            .iter()
            .chain(&nodes)
            .map(|node| note(node, &ann, ids[0], &text, Some(&key)));
        let answers = join_all(sends).await;
        let heads: BTreeSet<_> = answers.iter().map(|answer| answer.head).collect();
        assert_eq!(heads.len(), 1, "{answers:?}");
        assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
        let rows: Vec<_> = answers
            .iter()
            .map(|answer| answer.outcome.as_ref().unwrap())
            .collect();
        assert!(rows.iter().all(|row| row == &rows[0]), "{rows:?}");
        let after = nodes[1].library.head(&ann).await.unwrap();
        assert_eq!(after.version.number(), before.version.number() + 1);
    }
}
