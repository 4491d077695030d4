//! The code blocks of the documents, which tests run.

use crate::support::test_app::repository;

/// The code blocks of a language in a document of the repository.
pub fn blocks(document: &str, language: &str) -> Vec<String> {
    let path = repository().join(document);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{document}: {error}"));
    let fence = format!("\n```{language}\n");
    let blocks = text.split(&fence).skip(1);
    blocks
        .map(|rest| rest.split_once("\n```").unwrap().0.to_owned() + "\n")
        .collect()
}
