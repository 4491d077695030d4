//! Searching texts: which words must occur, and how a statement asks for them.
//!
//! What is searched in was folded when it was written and the words are folded here, so that the databases, which
//! fold differently, only compare.

use sea_orm::{
    Condition, ExprTrait as _,
    sea_query::{Expr, LikeExpr},
};

use crate::library::{error::Error, model::text::fold};

/// Makes the next character of a pattern mean itself.
const ESCAPE: char = '!';

/// Words that must all occur, each anywhere, also inside other words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    words: Vec<String>,
}

impl Search {
    /// The longest text, in characters.
    pub const MAX_CHARS: usize = 200;
    /// The most words.
    pub const MAX_WORDS: usize = 10;

    /// Reads the words of `text`, which spaces separate. Without any, everything is found.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `search` when there are too many characters or words.
    pub fn words(text: &str) -> Result<Self, Error> {
        allow(text)?;
        let words: Vec<_> = text.split_whitespace().map(fold).collect();
        if words.len() > Self::MAX_WORDS {
            let rule = format!("at most {} words", Self::MAX_WORDS);
            return Err(Error::invalid("search", rule));
        }
        Ok(Self { words })
    }

    /// Takes `text` as a whole, but for the spaces around it. If nothing is left, everything is found.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `search` when it has too many characters.
    pub fn phrase(text: &str) -> Result<Self, Error> {
        allow(text)?;
        let phrase = fold(text.trim());
        let words = (!phrase.is_empty()).then_some(phrase);
        Ok(Self {
            words: words.into_iter().collect(),
        })
    }

    /// How many words there are; a phrase is one.
    #[expect(
        clippy::len_without_is_empty,
        reason = "that is nobody's question outside"
    )]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    pub(in crate::library) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// That each word occurs in one of these folded texts.
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

fn allow(text: &str) -> Result<(), Error> {
    if text.chars().count() > Search::MAX_CHARS {
        let rule = format!("at most {} characters", Search::MAX_CHARS);
        return Err(Error::invalid("search", rule));
    }
    // PostgreSQL takes no text that holds one.
    if text.contains('\0') {
        return Err(Error::invalid("search", "must not hold a NUL character"));
    }
    Ok(())
}

/// `word` as a pattern that means itself.
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
