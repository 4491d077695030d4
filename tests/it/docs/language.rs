//! Sources, tests and documents are in plain technical English: each banned phrase has a plainer form.

use std::{fs, path::PathBuf};

use super::{architecture::sources, links::documents};
use crate::support::test_app::repository;

/// A banned phrase, and its replacement.
const BANNED: [(&str, &str); 26] = [
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

/// The path and text of each file.
fn texts() -> Vec<(PathBuf, String)> {
    let root = repository();
    let mut paths: Vec<PathBuf> = documents().into_iter().map(PathBuf::from).collect();
    paths.push(PathBuf::from("schema.graphql"));
    let mut texts: Vec<_> = paths
        .into_iter()
        .map(|path| (path.clone(), fs::read_to_string(root.join(&path)).unwrap()))
        .collect();
    // Help texts, log lines and errors are in the sources.
    texts.extend(
        sources("src")
            .into_iter()
            .map(|source| (source.path, source.text)),
    );
    texts
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
                let path = path.display();
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
