//! Text search: the terms, and their SQL condition.
//!
//! Both the stored search keys and the terms are folded in Rust, because the databases fold case differently.

use sea_orm::{
    Condition, ExprTrait as _,
    sea_query::{Expr, LikeExpr},
};

use crate::library::{error::Error, model::text::fold};

/// Escape character of LIKE patterns.
const ESCAPE: char = '!';

/// Search terms. Each must occur, also as part of a word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    words: Vec<String>,
}

impl Search {
    /// Maximum length in characters.
    pub const MAX_CHARS: usize = 200;
    /// Maximum number of words.
    pub const MAX_WORDS: usize = 10;

    /// Splits `text` at white space. Without any word, everything matches.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `search` when a limit is exceeded.
    pub fn words(text: &str) -> Result<Self, Error> {
        check(text)?;
        let words: Vec<_> = text.split_whitespace().map(fold).collect();
        if words.len() > Self::MAX_WORDS {
            let rule = format!("at most {} words", Self::MAX_WORDS);
            return Err(Error::invalid("search", rule));
        }
        Ok(Self { words })
    }

    /// Searches for the trimmed `text` as a whole. If it is empty, everything matches.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `search` when the length limit is exceeded.
    pub fn phrase(text: &str) -> Result<Self, Error> {
        check(text)?;
        let phrase = fold(text.trim());
        let words = (!phrase.is_empty()).then_some(phrase);
        Ok(Self {
            words: words.into_iter().collect(),
        })
    }

    /// Returns the number of terms; a phrase is one.
    #[expect(
        clippy::len_without_is_empty,
        reason = "only this crate needs is_empty"
    )]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    pub(in crate::library) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The condition that each term occurs in one of these folded texts.
    pub(in crate::library) fn in_any(&self, texts: &[Expr]) -> Condition {
        let occurs = |word: &String| {
            let pattern = LikeExpr::new(format!("%{}%", escaped(word))).escape(ESCAPE);
            texts.iter().fold(Condition::any(), |any, text| {
                any.add(text.clone().like(pattern.clone()))
            })
        };
        self.words
            .iter()
            .map(occurs)
            .fold(Condition::all(), Condition::add)
    }
}

fn check(text: &str) -> Result<(), Error> {
    if text.chars().count() > Search::MAX_CHARS {
        let rule = format!("at most {} characters", Search::MAX_CHARS);
        return Err(Error::invalid("search", rule));
    }
    // PostgreSQL cannot store NUL.
    if text.contains('\0') {
        return Err(Error::invalid("search", "must not contain a NUL character"));
    }
    Ok(())
}

/// Escapes the wildcards in `word`.
fn escaped(word: &str) -> String {
    let mut pattern = String::with_capacity(word.len());
    for letter in word.chars() {
        if matches!(letter, '%' | '_' | ESCAPE) {
            pattern.push(ESCAPE);
        }
        pattern.push(letter);
    }
    pattern
}
