//! The column layouts of known file kinds: detects the kind by the column names, and maps each column to a field.
//!
//! | kind | recognised by |
//! |---|---|
//! | Goodreads | `Book Id` and `Exclusive Shelf` |
//! | StoryGraph | `Read Status` and `Star Rating` |
//! | Calibre | `title`, and `uuid` or `identifiers` |
//! | FanFicFare | `storyUrl` |
//! | AO3 | `Fandoms`, and `Warnings`, `Relationships` or `Additional Tags` |
//! | library-sync CSV | any other columns |
//!
//! **Invariant:** a file is refused if two of its columns map to the same single-valued field. The error names both.

use std::collections::{BTreeSet, HashMap};

use anyhow::{bail, ensure};

use serde_json::{Map, Value};

use super::{
    cell_value::{plain, text_of_html},
    csv,
    entry_builder::{Draft, Target},
};
use crate::config::FileKind;

/// The column layout of one kind of file.
struct Layout {
    kind: FileKind,
    /// Normalised column names that identify the kind: all names of the first list, and one of the second.
    needs: (&'static [&'static str], &'static [&'static str]),
    columns: &'static [(&'static str, Target)],
}

const LAYOUTS: [Layout; 6] = [
    Layout {
        kind: FileKind::Goodreads,
        needs: (&["bookid", "exclusiveshelf"], &[]),
        columns: &[
            ("Book Id", Target::GoodreadsId),
            ("Title", Target::Title),
            ("Author", Target::Author),
            ("Additional Authors", Target::Authors(',')),
            ("ISBN", Target::Isbn),
            ("ISBN13", Target::Isbn),
            ("My Rating", Target::GivenStars),
            ("Bookshelves", Target::Tags(',')),
            ("Exclusive Shelf", Target::Shelf),
            ("My Review", Target::Notes),
            ("Private Notes", Target::Notes),
        ],
    },
    Layout {
        kind: FileKind::Storygraph,
        needs: (&["readstatus", "starrating"], &[]),
        columns: &[
            ("Title", Target::Title),
            ("Authors", Target::Authors(',')),
            ("ISBN/UID", Target::StorygraphId),
            ("Read Status", Target::Shelf),
            ("Moods", Target::Tags(',')),
            ("Star Rating", Target::GivenStars),
            ("Review", Target::Notes),
            ("Tags", Target::Tags(',')),
        ],
    },
    Layout {
        kind: FileKind::Calibre,
        needs: (&["title"], &["uuid", "identifiers"]),
        columns: &[
            ("title", Target::Title),
            ("authors", Target::Authors('&')),
            ("comments", Target::Description),
            ("identifiers", Target::Identifiers),
            ("isbn", Target::Isbn),
            ("rating", Target::GivenStarsOfTen),
            ("tags", Target::Tags(',')),
            ("uuid", Target::Uuid),
            ("#fandom", Target::Fandoms(',')),
            ("#fandoms", Target::Fandoms(',')),
            ("#status", Target::PublicationStatus),
            ("#words", Target::WordCount),
            ("#chapters", Target::ChapterCount),
            ("#read", Target::ReadingStatus),
        ],
    },
    Layout {
        kind: FileKind::Fanficfare,
        needs: (&["storyurl"], &[]),
        columns: &[
            ("title", Target::Title),
            ("author", Target::Authors(',')),
            ("storyUrl", Target::Url),
            ("category", Target::Fandoms(',')),
            ("genre", Target::Tags(',')),
            ("characters", Target::Tags(',')),
            ("ships", Target::Tags(',')),
            ("warnings", Target::Tags(',')),
            ("status", Target::PublicationStatus),
            ("numChapters", Target::ChapterCount),
            ("numWords", Target::WordCount),
            ("rating", Target::ContentRating),
            ("description", Target::Description),
        ],
    },
    Layout {
        kind: FileKind::Ao3,
        needs: (
            &["fandoms"],
            &["warnings", "relationships", "additionaltags"],
        ),
        columns: &[
            ("URL", Target::Url),
            ("Link", Target::Url),
            ("Work URL", Target::Url),
            ("Title", Target::Title),
            ("Author", Target::Authors(';')),
            ("Authors", Target::Authors(';')),
            ("Fandoms", Target::Fandoms(';')),
            ("Warnings", Target::Tags(';')),
            ("Rating", Target::ContentRating),
            ("Categories", Target::Tags(';')),
            ("Characters", Target::Tags(';')),
            ("Relationships", Target::Tags(';')),
            ("Tags", Target::Tags(';')),
            ("Freeforms", Target::Tags(';')),
            ("Additional Tags", Target::Tags(';')),
            ("Words", Target::WordCount),
            ("Chapters", Target::ChapterCount),
            ("Status", Target::PublicationStatus),
            ("Summary", Target::Description),
            ("Notes", Target::Notes),
        ],
    },
    Layout {
        kind: FileKind::Csv,
        needs: (&["title"], &[]),
        columns: &[
            ("title", Target::Title),
            ("author", Target::Author),
            ("url", Target::Url),
            ("source", Target::Source),
            ("publicationStatus", Target::PublicationStatus),
            ("status", Target::PublicationStatus),
            ("description", Target::Description),
            ("summary", Target::Summary),
            ("chapterCount", Target::ChapterCount),
            ("chapters", Target::ChapterCount),
            ("wordCount", Target::WordCount),
            ("words", Target::WordCount),
            ("isNsfw", Target::IsNsfw),
            ("nsfw", Target::IsNsfw),
            ("tags", Target::EscapedTags),
            ("fandoms", Target::EscapedFandoms),
            ("readingStatus", Target::ReadingStatus),
            ("progressStatus", Target::ReadingStatus),
            ("currentChapter", Target::CurrentChapter),
            ("rating", Target::Stars),
            ("notes", Target::Notes),
        ],
    },
];

/// The columns of one file, with the field that each maps to.
#[derive(Debug)]
pub(super) struct Columns {
    pub kind: FileKind,
    columns: Vec<(String, Option<Target>)>,
}

impl Columns {
    /// Detects the layout of a file by its column names.
    ///
    /// `mapped` has pairs of a column name and a field name of the library-sync CSV. It overrides the layout.
    ///
    /// # Errors
    /// When the title has no column, two columns map to the same field, or `mapped` has an unknown name.
    pub fn recognise(
        names: &[String],
        kind: Option<FileKind>,
        mapped: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let layout = match kind {
            Some(kind) => LAYOUTS.iter().find(|layout| layout.kind == kind),
            None => LAYOUTS.iter().find(|layout| layout.fits(names)),
        };
        // A file of an unknown kind can be mapped to our fields.
        let layout = layout.unwrap_or(&LAYOUTS[LAYOUTS.len() - 1]);
        let mut columns: Vec<_> = names
            .iter()
            .map(|name| (name.clone(), layout.target(name)))
            .collect();
        for (name, field) in mapped {
            let target = own_field(field)?;
            let column = columns
                .iter_mut()
                .find(|(column, _)| plain(column) == plain(name));
            let Some((_, holds)) = column else {
                bail!(
                    "--map {name}={field}: the file has no column `{name}`; it has {}",
                    names.join(", ")
                );
            };
            *holds = Some(target);
        }
        let columns = Self {
            kind: layout.kind,
            columns,
        };
        columns.check()?;
        Ok(columns)
    }

    /// Whether these are the columns of another program.
    pub fn are_foreign(names: &[String]) -> bool {
        let layout = LAYOUTS.iter().find(|layout| layout.fits(names));
        layout.is_some_and(|layout| layout.kind != FileKind::Csv)
    }

    fn check(&self) -> anyhow::Result<()> {
        let mut first = HashMap::new();
        for (name, target) in &self.columns {
            if let Some(target) = target
                && target.is_single()
                && let Some(other) = first.insert(*target, name)
            {
                bail!(
                    "two columns hold the same: `{other}` and `{name}`; rename one, or use --map {name}=ignore"
                );
            }
        }
        let names: Vec<_> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        ensure!(
            first.contains_key(&Target::Title),
            "the first row names no column `title`; it names {}. Use --map COLUMN=title",
            names.join(", ")
        );
        Ok(())
    }

    /// Returns the names of columns that do not map to a field.
    pub fn ignored(&self) -> BTreeSet<String> {
        let ignored = self.columns.iter().filter(|(_, target)| target.is_none());
        ignored.map(|(name, _)| name.clone()).collect()
    }

    /// Builds the draft of a JSON object, whose members are the columns.
    pub fn draft_of(&self, object: &Map<String, Value>) -> Draft {
        let mut draft = Draft::default();
        for (name, target) in &self.columns {
            let (Some(target), Some(value)) = (target, object.get(name)) else {
                continue;
            };
            match value {
                Value::Array(items) => {
                    for item in items {
                        self.put(&mut draft, target.whole(), name, &text(item));
                    }
                }
                value => self.put(&mut draft, *target, name, &text(value)),
            }
        }
        self.complete(draft)
    }

    /// Builds the draft of a row.
    pub fn draft(&self, cells: &[String]) -> Draft {
        let mut draft = Draft::default();
        for ((name, target), cell) in self.columns.iter().zip(cells) {
            if let Some(target) = target {
                self.put(&mut draft, *target, name, cell);
            }
        }
        self.complete(draft)
    }

    fn put(&self, draft: &mut Draft, target: Target, name: &str, cell: &str) {
        let is_own = self.kind == FileKind::Csv;
        if is_own && target.is_prose() && !cell.is_empty() {
            // A text of white space is a text here.
            draft.put_as_written(target, name, csv::unescape(cell));
        } else if is_own {
            draft.put(target, name, csv::unescape(cell));
        } else if target.is_prose() {
            // Other programs export long texts as HTML.
            draft.put(target, name, &text_of_html(cell));
        } else {
            draft.put(target, name, cell);
        }
    }

    fn complete(&self, mut draft: Draft) -> Draft {
        match self.kind {
            FileKind::Goodreads | FileKind::Storygraph => draft.is_finished_work(),
            FileKind::Calibre => draft.read_status_tags(),
            _ => {}
        }
        draft
    }
}

/// Converts a JSON value to a cell. An object becomes `name:value` pairs, as Calibre writes identifiers.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(object) => {
            let pairs = object.iter().map(|(name, value)| {
                let value = text(value).replace(',', "|");
                format!("{name}:{value}")
            });
            pairs.collect::<Vec<_>>().join(",")
        }
        value => value.to_string(),
    }
}

impl Layout {
    fn fits(&self, names: &[String]) -> bool {
        let names: BTreeSet<_> = names.iter().map(|name| plain(name)).collect();
        let has = |name: &&str| names.contains(*name);
        let (all, any) = self.needs;
        all.iter().all(has) && (any.is_empty() || any.iter().any(has))
    }

    fn target(&self, name: &str) -> Option<Target> {
        let of_name = |(column, _): &&(&str, Target)| plain(column) == plain(name);
        self.columns.iter().find(of_name).map(|(_, target)| *target)
    }
}

/// Returns the target of a field name of the library-sync CSV. `ignore` ignores the column.
fn own_field(name: &str) -> anyhow::Result<Target> {
    let [.., own] = &LAYOUTS;
    if plain(name) == "ignore" {
        return Ok(Target::Ignored);
    }
    own.target(name).ok_or_else(|| {
        let known: Vec<_> = own.columns.iter().map(|(name, _)| *name).collect();
        anyhow::anyhow!(
            "--map: `{name}` is not a field; there are {}, ignore",
            known.join(", ")
        )
    })
}

impl Target {
    /// Returns the target for one element of a JSON array, which must not be split at separators.
    fn whole(self) -> Self {
        const NONE: char = '\0';
        match self {
            Self::Tags(_) => Self::Tags(NONE),
            Self::Fandoms(_) => Self::Fandoms(NONE),
            Self::Authors(_) => Self::Authors(NONE),
            other => other,
        }
    }

    /// Whether a second column with this target would overwrite the first.
    fn is_single(self) -> bool {
        !matches!(
            self,
            Self::Authors(_)
                | Self::Tags(_)
                | Self::Fandoms(_)
                | Self::Notes
                | Self::Isbn
                | Self::Ignored
        )
    }

    fn is_prose(self) -> bool {
        matches!(self, Self::Description | Self::Summary | Self::Notes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(columns: &str) -> Vec<String> {
        columns.split(',').map(str::to_owned).collect()
    }

    fn recognise(columns: &str, mapped: &[(&str, &str)]) -> anyhow::Result<Columns> {
        let mapped = mapped
            .iter()
            .map(|(name, field)| ((*name).to_owned(), (*field).to_owned()));
        Columns::recognise(&names(columns), None, &mapped.collect::<Vec<_>>())
    }

    #[test]
    fn a_file_is_recognised_by_its_columns() {
        for (columns, kind) in [
            ("title,author,url,chapters", FileKind::Csv),
            (
                "URL,Title,Authors,Fandoms,Warnings,Rating,Words",
                FileKind::Ao3,
            ),
            (
                "Book Id,Title,Author,My Rating,Exclusive Shelf",
                FileKind::Goodreads,
            ),
            (
                "Title,Authors,ISBN/UID,Read Status,Star Rating",
                FileKind::Storygraph,
            ),
            (
                "author_sort,authors,identifiers,title,uuid",
                FileKind::Calibre,
            ),
            ("title,author,storyUrl,category", FileKind::Fanficfare),
        ] {
            assert_eq!(recognise(columns, &[]).unwrap().kind, kind, "{columns}");
        }
    }

    #[test]
    fn a_column_given_twice_is_named() {
        for (columns, both) in [
            ("title,url,rating,rating", "`rating` and `rating`"),
            (
                "title,url,chapters,chapterCount",
                "`chapters` and `chapterCount`",
            ),
            ("title,Title,url", "`title` and `Title`"),
        ] {
            let error = recognise(columns, &[]).unwrap_err().to_string();
            assert!(error.contains(both), "{error}");
        }
        assert!(
            recognise("title,url,shelf,shelf", &[]).is_ok(),
            "neither holds anything"
        );
    }

    #[test]
    fn columns_can_be_mapped() {
        let columns = recognise(
            "Name,Where,Stars,Extra",
            &[("name", "title"), ("Where", "url"), ("Stars", "rating")],
        )
        .unwrap();
        assert_eq!(columns.ignored(), BTreeSet::from(["Extra".to_owned()]));
        let entry = columns
            .draft(&names("A,https://e.org,4,x"))
            .finish()
            .entry
            .unwrap();
        assert_eq!(
            (entry.title.as_str(), entry.url.as_str(), entry.rating),
            ("A", "https://e.org", Some(4.0))
        );
        for (mapped, what) in [
            (("nothing", "title"), "no column `nothing`"),
            (("Name", "heading"), "`heading` is not a field"),
        ] {
            let error = recognise("Name,Where", &[mapped]).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        assert!(
            recognise("Name,Where", &[])
                .unwrap_err()
                .to_string()
                .contains("no column `title`")
        );
    }
}
