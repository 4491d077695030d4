//! Everything that is read is in plain technical English: the turns listed here have a plainer form.

use std::{fs, path::PathBuf};

use super::{architecture::sources, links::documents};
use crate::support::test_app::repository;

/// A turn, and what to write instead.
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

/// Where `turn` stands in `line` as whole words, in any case.
fn says(line: &str, turn: &str) -> bool {
    let line = line.to_lowercase();
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    line.match_indices(turn).any(|(at, _)| {
        !is_word(line[..at].chars().next_back()) && !is_word(line[at + turn.len()..].chars().next())
    })
}

/// Each file that people read: its path and its text.
fn texts() -> Vec<(PathBuf, String)> {
    let root = repository();
    let mut paths: Vec<PathBuf> = documents().into_iter().map(PathBuf::from).collect();
    paths.push(PathBuf::from("schema.graphql"));
    let mut texts: Vec<_> = paths
        .into_iter()
        .map(|path| (path.clone(), fs::read_to_string(root.join(&path)).unwrap()))
        .collect();
    // Help texts, log lines and errors stand in the sources too.
    texts.extend(
        sources("src")
            .into_iter()
            .map(|source| (source.path, source.text)),
    );
    texts
}

#[test]
fn a_turn_is_found_as_whole_words_alone() {
    assert!(says("It is StreamItem at once", "told"));
    assert!(says("a stream of its own.", "of its own"));
    assert!(!says("untold", "told"));
    assert!(!says("there is not one", "is no"));
}

#[test]
fn everything_that_is_read_is_in_plain_english() {
    let mut found = Vec::new();
    for (path, text) in texts() {
        for (number, line) in text.lines().enumerate() {
            for (turn, instead) in BANNED.iter().filter(|(turn, _)| says(line, turn)) {
                let path = path.display();
                found.push(format!(
                    "{path}:{}: \"{turn}\": write: {instead}",
                    number + 1
                ));
            }
        }
    }
    assert!(
        found.is_empty(),
        "{} banned turns:\n{}",
        found.len(),
        found.join("\n")
    );
}
