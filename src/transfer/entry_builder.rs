//! Builds an entry from the cells of a row.
//!
//! **Invariant:** an invalid optional cell never refuses its row. Its field is left empty, or its text is cut, with a
//! warning. Only a missing title or an invalid address refuses the row.

use std::{collections::BTreeSet, fmt::Write as _};

use aws_lc_rs::digest::{SHA256, digest};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::cell_value;
use crate::library::{EntryLine, LabelName, ProgressState, StoryContent, StoryState};

/// The field that a column maps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Target {
    Title,
    Author,
    /// Names separated by the character. They follow the name from `Author`.
    Authors(char),
    Url,
    Source,
    PublicationStatus,
    Description,
    Summary,
    ChapterCount,
    WordCount,
    IsNsfw,
    /// A content rating, such as `Mature`.
    ContentRating,
    /// Tags, as the library-sync CSV escapes them.
    EscapedTags,
    /// Fandoms, as the library-sync CSV escapes them.
    EscapedFandoms,
    /// Tags separated by the character.
    Tags(char),
    /// Fandoms separated by the character.
    Fandoms(char),
    ReadingStatus,
    /// A shelf: a reading status, otherwise a tag.
    Shelf,
    CurrentChapter,
    Stars,
    /// Stars out of five. 0 means unrated.
    GivenStars,
    /// Stars out of ten. 0 means unrated.
    GivenStarsOfTen,
    Notes,
    Isbn,
    Uuid,
    /// The Goodreads id of a book.
    GoodreadsId,
    /// The StoryGraph id of a book, which is its ISBN if it has one.
    StorygraphId,
    /// Calibre's `name:value` pairs, separated by commas.
    Identifiers,
    /// Mapped to `ignore` by the user.
    Ignored,
}

/// An entry that is being built.
#[derive(Debug, Default)]
pub(super) struct Draft {
    entry: EntryLine,
    authors: Vec<String>,
    isbn: Option<String>,
    /// A URN from another program. It is the address of a book without a URL and an ISBN.
    id: Option<String>,
    warnings: Vec<String>,
}

impl From<EntryLine> for Draft {
    fn from(entry: EntryLine) -> Self {
        Self {
            entry,
            ..Self::default()
        }
    }
}

/// The result of a draft.
#[derive(Debug, PartialEq)]
pub(super) struct Done {
    pub entry: Result<EntryLine, String>,
    pub warnings: Vec<String>,
}

impl Draft {
    /// Sets the field of a cell. Warnings name `column`.
    pub fn put(&mut self, target: Target, column: &str, cell: &str) {
        if !cell.trim().is_empty() {
            self.put_as_written(target, column, cell);
        }
    }

    /// Sets the field of a cell, also of white space.
    pub fn put_as_written(&mut self, target: Target, column: &str, cell: &str) {
        if let Err(why) = self.try_put(target, cell) {
            self.warn(column, &format!("{why}; left empty"));
        }
    }

    fn try_put(&mut self, target: Target, cell: &str) -> Result<(), String> {
        let text = || Some(cell.to_owned());
        let entry = &mut self.entry;
        match target {
            Target::Title => entry.title = cell_value::one_line(cell),
            Target::Author => self.authors.insert(0, cell_value::one_line(cell)),
            Target::Authors(separator) => self.authors.extend(cell_value::list(cell, separator)),
            Target::Url => cell.clone_into(&mut entry.url),
            Target::Source => entry.source = Some(cell_value::source(cell)?),
            Target::PublicationStatus => {
                entry.publication_status = Some(cell_value::publication_status(cell)?);
            }
            Target::Description => entry.description = text(),
            Target::Summary => entry.summary = text(),
            Target::ChapterCount => entry.chapter_count = Some(cell_value::count(cell)?),
            Target::WordCount => entry.word_count = Some(cell_value::count(cell)?),
            Target::IsNsfw => entry.is_nsfw = Some(cell_value::flag(cell)?),
            Target::ContentRating => entry.is_nsfw = Some(cell_value::is_adult(cell)?),
            Target::EscapedTags => entry.tags.extend(super::csv::split(cell)),
            Target::EscapedFandoms => entry.fandoms.extend(super::csv::split(cell)),
            Target::Tags(separator) => entry.tags.extend(cell_value::list(cell, separator)),
            Target::Fandoms(separator) => entry.fandoms.extend(cell_value::list(cell, separator)),
            Target::ReadingStatus => entry.reading_status = Some(cell_value::reading_status(cell)?),
            Target::Shelf => match cell_value::reading_status(cell) {
                Ok(status) => entry.reading_status = Some(status),
                Err(_) => entry.tags.push(cell.trim().to_owned()),
            },
            Target::CurrentChapter => entry.current_chapter = Some(cell_value::count(cell)?),
            Target::Stars => self.rate(cell, 5.0, false)?,
            Target::GivenStars => self.rate(cell, 5.0, true)?,
            Target::GivenStarsOfTen => self.rate(cell, 10.0, true)?,
            Target::Notes => self.note(cell),
            Target::Isbn => self.isbn = isbn(cell).or(self.isbn.take()),
            Target::Uuid => self.id = Some(format!("urn:uuid:{}", cell.trim())),
            Target::GoodreadsId => {
                entry.url = format!("https://www.goodreads.com/book/show/{}", encoded(cell));
            }
            Target::StorygraphId => match isbn(cell) {
                Some(isbn) => self.isbn = Some(isbn),
                None => self.id = Some(format!("urn:x-library-sync:storygraph:{}", encoded(cell))),
            },
            Target::Identifiers => self.identify(cell),
            Target::Ignored => {}
        }
        Ok(())
    }

    fn rate(&mut self, cell: &str, best: f64, zero_is_none: bool) -> Result<(), String> {
        let read = cell_value::stars(cell, best)?;
        if zero_is_none && read.stars == 0.0 {
            return Ok(());
        }
        self.entry.rating = Some(read.stars);
        if let Some(remark) = read.remark {
            self.warn("rating", &remark);
        }
        Ok(())
    }

    fn note(&mut self, cell: &str) {
        let notes = self.entry.notes.get_or_insert_default();
        if !notes.is_empty() {
            notes.push_str("\n\n");
        }
        notes.push_str(cell);
    }

    /// Reads Calibre's identifiers. Calibre writes a comma within a value as `|`.
    fn identify(&mut self, cell: &str) {
        for pair in cell.split(',') {
            let Some((name, value)) = pair.trim().split_once(':') else {
                continue;
            };
            match name {
                "url" | "uri" => self.entry.url = value.replace('|', ","),
                "isbn" => self.isbn = isbn(value).or(self.isbn.take()),
                "goodreads" if self.entry.url.is_empty() => {
                    self.put(Target::GoodreadsId, "identifiers", value);
                }
                _ => {}
            }
        }
    }

    /// Adds a warning about a column.
    pub fn warn(&mut self, column: &str, what: &str) {
        self.warnings.push(format!("{column}: {what}"));
    }

    /// Sets the publication status to completed if it is absent, because printed books are complete.
    pub fn is_finished_work(&mut self) {
        let status = &mut self.entry.publication_status;
        status.get_or_insert(crate::library::StoryStatus::Completed);
    }

    /// Reads the publication status from the tags that FanFicFare adds in Calibre, if it is absent.
    pub fn read_status_tags(&mut self) {
        if self.entry.publication_status.is_none() {
            let mut tags = self.entry.tags.iter();
            self.entry.publication_status = tags.find_map(|tag| match tag.as_str() {
                "Completed" | "In-Progress" => cell_value::publication_status(tag).ok(),
                _ => None,
            });
        }
    }

    /// Returns the entry. Clears every optional field that violates a rule of the library, with a warning.
    pub fn finish(mut self) -> Done {
        if !self.authors.is_empty() {
            self.entry.author = Some(self.authors.join(", "));
        }
        if self.entry.title.trim().is_empty() {
            return self.refused("title: must not be empty");
        }
        if self.entry.url.trim().is_empty() {
            self.entry.url = self.stand_in_address();
        }
        for field in ["tags", "fandoms"] {
            self.keep_sound_labels(field);
        }
        self.cut_long_texts();
        while let Some((field, rule)) = self.entry.fault() {
            if !self.clear(field) {
                return self.refused(&format!("{field}: {rule}"));
            }
            self.warn(field, &format!("{rule}; left empty"));
        }
        Done {
            entry: Ok(self.entry),
            warnings: self.warnings,
        }
    }

    fn refused(self, why: &str) -> Done {
        Done {
            entry: Err(why.to_owned()),
            warnings: self.warnings,
        }
    }

    /// Returns the address of a work without a URL, from its ISBN, its id in another program, or its author and title.
    /// The address is deterministic, so that importing the same book twice adds it once.
    fn stand_in_address(&self) -> String {
        if let Some(isbn) = &self.isbn {
            return format!("urn:isbn:{isbn}");
        }
        if let Some(id) = &self.id {
            return id.clone();
        }
        let author = self.entry.author.as_deref().unwrap_or_default();
        let mut address = "urn:x-library-sync:book".to_owned();
        for part in [author, &self.entry.title] {
            let _ = write!(address, ":{}", encoded(&part.trim().to_lowercase()));
        }
        if address.len() > StoryContent::MAX_URL {
            let hash = digest(&SHA256, address.as_bytes());
            return format!(
                "urn:x-library-sync:book:{}",
                BASE64_URL_SAFE_NO_PAD.encode(hash)
            );
        }
        address
    }

    fn keep_sound_labels(&mut self, field: &str) {
        let labels = if field == "tags" {
            &mut self.entry.tags
        } else {
            &mut self.entry.fandoms
        };
        let (mut left_out, mut keys) = (Vec::new(), BTreeSet::new());
        labels.retain(|name| match LabelName::new(name.clone()) {
            Ok(name) => keys.insert(name.key()),
            Err(fault) => {
                left_out.push(format!("`{name}` was left out: {fault}"));
                false
            }
        });
        let most = StoryState::MAX_LABELS;
        if labels.len() > most {
            let more = labels.len() - most;
            left_out.push(format!("{more} were left out: a story has at most {most}"));
            labels.truncate(most);
        }
        for what in left_out {
            self.warn(field, &what);
        }
    }

    /// Cuts texts that are too long, because clearing the field would lose the whole text.
    fn cut_long_texts(&mut self) {
        let entry = &mut self.entry;
        let texts = [
            (
                "description",
                &mut entry.description,
                StoryContent::MAX_PROSE,
            ),
            ("summary", &mut entry.summary, StoryContent::MAX_PROSE),
            ("notes", &mut entry.notes, ProgressState::MAX_NOTES),
        ];
        let mut cut = Vec::new();
        for (field, text, most) in texts {
            if let Some(text) = text
                && let Some((end, _)) = text.char_indices().nth(most)
            {
                let more = text[end..].chars().count();
                text.truncate(end);
                cut.push((
                    field,
                    format!("cut after {most} characters; {more} more are in the file"),
                ));
            }
        }
        for (field, what) in cut {
            self.warn(field, &what);
        }
    }

    /// Clears an optional field. Returns `false` if the field is required.
    fn clear(&mut self, field: &str) -> bool {
        let entry = &mut self.entry;
        match field {
            "author" => entry.author = None,
            "description" => entry.description = None,
            "summary" => entry.summary = None,
            "chapterCount" => entry.chapter_count = None,
            "wordCount" => entry.word_count = None,
            "currentChapter" => entry.current_chapter = None,
            "rating" => entry.rating = None,
            "notes" => entry.notes = None,
            _ => return false,
        }
        true
    }
}

/// Returns the digits of an ISBN-10 or ISBN-13. Also accepts Excel's form `="…"`.
fn isbn(cell: &str) -> Option<String> {
    let kept = cell
        .chars()
        .filter(|letter| letter.is_ascii_digit() || matches!(letter, 'x' | 'X'));
    let digits: String = kept.flat_map(char::to_uppercase).collect();
    let is_isbn = matches!(digits.len(), 10 | 13)
        && digits[..digits.len() - 1]
            .bytes()
            .all(|byte| byte.is_ascii_digit())
        && cell
            .chars()
            .all(|letter| letter.is_ascii_digit() || "xX-= \"".contains(letter));
    is_isbn.then_some(digits)
}

/// Percent-encodes a part of an address.
fn encoded(text: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
    utf8_percent_encode(text.trim(), KEPT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(cells: &[(Target, &str)]) -> Done {
        let mut draft = Draft::default();
        for (target, cell) in cells {
            draft.put(*target, "column", cell);
        }
        draft.finish()
    }

    #[test]
    fn a_work_without_an_address_gets_one_that_stays_the_same() {
        let url = |cells: &[(Target, &str)]| {
            let cells = [
                &[(Target::Title, "A Wizard"), (Target::Author, "Ursula")],
                cells,
            ]
            .concat();
            done(&cells).entry.unwrap().url
        };
        assert_eq!(
            url(&[(Target::Isbn, "=\"0000000001\"")]),
            "urn:isbn:0000000001"
        );
        assert_eq!(
            url(&[(Target::Isbn, "978-0-00-000000-1"), (Target::Uuid, "u")]),
            "urn:isbn:9780000000001"
        );
        assert_eq!(url(&[(Target::Uuid, "u")]), "urn:uuid:u");
        assert_eq!(
            url(&[(Target::StorygraphId, "ab c")]),
            "urn:x-library-sync:storygraph:ab%20c"
        );
        assert_eq!(url(&[]), "urn:x-library-sync:book:ursula:a%20wizard");
        let long = done(&[(Target::Title, &"魔".repeat(290))])
            .entry
            .unwrap()
            .url;
        assert!(
            long.starts_with("urn:x-library-sync:book:") && long.len() < 80,
            "{long}"
        );
        assert_eq!(
            url(&[(
                Target::Identifiers,
                "isbn:9780000000001,url:https://e.org/a|b"
            )]),
            "https://e.org/a,b"
        );
    }

    #[test]
    fn an_invalid_value_is_left_empty_and_reported() {
        let done = done(&[
            (Target::Title, "A"),
            (Target::Url, "https://e.org"),
            (Target::Author, &"é".repeat(201)),
            (Target::Stars, "Mature"),
            (Target::ChapterCount, "many"),
            (Target::Notes, &"n".repeat(10_001)),
            (
                Target::Tags(','),
                &format!("fluff, {}, Fluff", "x".repeat(101)),
            ),
        ]);
        let entry = done.entry.unwrap();
        assert_eq!((entry.author, entry.rating), (None, None));
        assert_eq!(entry.notes.map(|notes| notes.len()), Some(10_000));
        assert_eq!(entry.tags, ["fluff"]);
        assert_eq!(done.warnings.len(), 5, "{:#?}", done.warnings);
    }

    #[test]
    fn a_missing_title_or_a_wrong_address_costs_the_row() {
        assert!(
            done(&[(Target::Url, "https://e.org")])
                .entry
                .unwrap_err()
                .starts_with("title")
        );
        assert!(
            done(&[(Target::Title, "A"), (Target::Url, "nowhere")])
                .entry
                .unwrap_err()
                .starts_with("url")
        );
    }
}
