//! Sources, tests and documents are in plain technical English: each banned phrase has a plainer form.

use std::fs;

use super::links::documents;
use crate::support::test_app::repository;

/// A banned phrase, and its replacement.
const BANNED: [(&str, &str); 33] = [
    ("told", "notified, reported"),
    ("whatever", "any"),
    ("whoever", "the user, the caller, the operator"),
    ("whence", "where"),
    ("hence", "so"),
    ("thus", "so"),
    ("lest", "so that … not"),
    ("nor", "and not"),
    ("is no", "is not a; does not exist"),
    ("are no", "are not; do not exist"),
    ("was no", "was not a; did not exist"),
    ("for ever", "indefinitely"),
    ("forever", "indefinitely"),
    ("comes back", "reconnects, returns"),
    ("come back", "reconnect, return"),
    ("coming back", "reconnecting"),
    ("passed over", "skipped"),
    ("of its own", "its own"),
    ("of their own", "their own"),
    ("as good as", "almost"),
    ("at the most", "at most"),
    ("of those that", "a plain noun"),
    ("by the way", "also"),
    ("all the same", "anyway; still"),
    ("save for", "except"),
    ("at the best", "at best"),
    ("at the least", "at least"),
    ("passing over", "skipping"),
    ("under way", "in flight; running"),
    ("give or take", "about"),
    ("beyond reason", "the limit"),
    ("on the heels", "immediately after"),
    ("amid", "during"),
];

/// Whether `line` contains `phrase` as whole words, in any case.
fn contains_phrase(line: &str, phrase: &str) -> bool {
    let line = line.to_lowercase();
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    line.match_indices(phrase).any(|(at, _)| {
        !is_word(line[..at].chars().next_back())
            && !is_word(line[at + phrase.len()..].chars().next())
    })
}

/// Folders of source files that are read completely, with their tests.
const SOURCES: [&str; 7] = [
    "src",
    "migration/src",
    "tests/it",
    "tests/protocol",
    "client-example/sync/tests",
    "client-example/app/tests",
    "client-example/app/e2e",
];

/// Files that quote the banned phrases.
const QUOTING: [&str; 2] = ["tests/it/docs/language.rs", "tests/it/graphql/schema.rs"];

/// The source files below `folder`, relative to the repository.
fn source_files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(repository().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        let extension = path.rsplit('.').next().unwrap_or_default();
        if entry.file_type().unwrap().is_dir() {
            found.extend(source_files(&path));
        } else if ["rs", "ts", "tsx", "mjs"].contains(&extension)
            && !QUOTING.contains(&path.as_str())
        {
            found.push(path);
        }
    }
    found
}

/// The path and text of each file. Names of functions are split into words.
fn texts() -> Vec<(String, String)> {
    let mut paths = documents();
    paths.push("schema.graphql".to_owned());
    paths.extend(SOURCES.into_iter().flat_map(source_files));
    let text = |path: String| {
        let text = fs::read_to_string(repository().join(&path)).unwrap();
        let words = |line: &str| {
            let is_function = line.trim_start().split(' ').any(|word| word == "fn");
            if is_function {
                line.replace('_', " ")
            } else {
                line.to_owned()
            }
        };
        let lines: Vec<_> = text.lines().map(words).collect();
        (path, lines.join("\n"))
    };
    paths.into_iter().map(text).collect()
}

#[test]
fn a_phrase_is_found_only_as_whole_words() {
    assert!(contains_phrase("It is Told at once", "told"));
    assert!(contains_phrase("a stream of its own.", "of its own"));
    assert!(!contains_phrase("untold", "told"));
    assert!(!contains_phrase("there is not one", "is no"));
}

#[test]
fn everything_that_is_read_is_in_plain_english() {
    let mut found = Vec::new();
    for (path, text) in texts() {
        for (number, line) in text.lines().enumerate() {
            for (phrase, instead) in BANNED
                .iter()
                .filter(|(phrase, _)| contains_phrase(line, phrase))
            {
                found.push(format!(
                    "{path}:{}: \"{phrase}\": write: {instead}",
                    number + 1
                ));
            }
        }
    }
    assert!(
        found.is_empty(),
        "{} banned phrases:\n{}",
        found.len(),
        found.join("\n")
    );
}
