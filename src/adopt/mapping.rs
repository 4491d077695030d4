//! The mapping of a row of the older app to a story and a progress, with what had to be repaired.
//!
//! The rules are listed in docs/moving-from-the-older-app.md.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{older_row::OlderRow, older_tables::NO_TIME};
use crate::{
    library::{
        AdoptedEntry, Label, LabelId, LabelName, Progress, ProgressId, ProgressState,
        ProgressStatus, Rating, Source, Story, StoryContent, StoryId, StoryStatus, is_storable_url,
        is_unsafe_url, parse_url, repaired_line,
    },
    unix_time::time_of,
    version::{UserId, Version},
};

/// The title of a story whose title has no visible character.
const UNTITLED: &str = "Untitled";

/// The name of a label whose name has no visible character.
const UNNAMED: &str = "Unnamed";

/// Maximum length of a label's name, in characters: what an index holds. A new name may have [`LabelName::MAX`].
const MAX_NAME: usize = 500;

/// What happened to a row, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub outcome: Outcome,
    /// `story`, `progress`, `tag` or `fandom`.
    pub kind: &'static str,
    pub id: Uuid,
    pub rule: String,
}

/// The columns of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(super) enum Outcome {
    /// A value was changed to keep a rule.
    Repaired,
    /// A value breaks a rule for new values and was copied as it is.
    Kept,
    /// A label was merged into another.
    Merged,
}

/// Maps a row.
pub(super) fn entry(
    row: OlderRow,
    now: OffsetDateTime,
) -> Result<(AdoptedEntry, Vec<Note>), crate::version::InvalidUserId> {
    let mut notes = Notes {
        story: row.story_id,
        progress: row.progress_id,
        made: Vec::new(),
    };
    let user = UserId::new(&row.user)?;
    let stamp = Version::new(row.stamp);
    let story = story(&row, stamp, now, &mut notes);
    let progress = progress(&row, stamp, now, &mut notes);
    let entry = AdoptedEntry {
        user,
        story,
        progress,
        suffix: row.public_id,
    };
    Ok((entry, notes.made))
}

struct Notes {
    story: Uuid,
    progress: Uuid,
    made: Vec<Note>,
}

impl Notes {
    fn story(&mut self, outcome: Outcome, rule: impl Into<String>) {
        let (kind, id, rule) = ("story", self.story, rule.into());
        self.made.push(Note {
            outcome,
            kind,
            id,
            rule,
        });
    }

    fn progress(&mut self, outcome: Outcome, rule: impl Into<String>) {
        let (kind, id, rule) = ("progress", self.progress, rule.into());
        self.made.push(Note {
            outcome,
            kind,
            id,
            rule,
        });
    }
}

fn story(row: &OlderRow, stamp: Version, now: OffsetDateTime, notes: &mut Notes) -> Story {
    let (created_at, updated_at) = times(row.story_created, row.story_updated, now, |rule| {
        notes.story(Outcome::Repaired, rule);
    });
    Story {
        id: StoryId(row.story_id),
        stamp,
        created_stamp: stamp,
        created_at,
        updated_at,
        content: content(row, notes),
    }
}

fn content(row: &OlderRow, notes: &mut Notes) -> StoryContent {
    let (title, author) = (row.title.as_deref(), row.author.as_deref());
    let (description, summary) = (row.description.as_deref(), row.summary.as_deref());
    let (source, status) = (row.source.as_deref(), row.status.as_deref());
    let most = StoryContent::MAX_PROSE;
    let url = url(row, notes);
    let said = &mut |rule: String| notes.story(Outcome::Repaired, rule);
    StoryContent {
        title: line(
            "title",
            title.unwrap_or_default(),
            StoryContent::MAX_TITLE,
            UNTITLED,
            said,
        ),
        author: line(
            "author",
            author.unwrap_or_default(),
            StoryContent::MAX_AUTHOR,
            StoryContent::UNKNOWN_AUTHOR,
            said,
        ),
        url,
        source: name("source", source, Source::Other, said),
        status: name("status", status, StoryStatus::Unknown, said),
        description: prose("description", description, most, said),
        summary: prose("summary", summary, most, said),
        chapter_count: count("chapter count", row.chapter_count, said),
        word_count: count("word count", row.word_count, said),
        is_nsfw: row.is_nsfw.unwrap_or_default(),
    }
}

fn progress(row: &OlderRow, stamp: Version, now: OffsetDateTime, notes: &mut Notes) -> Progress {
    let mut repaired = |rule: String| notes.progress(Outcome::Repaired, rule);
    let (created, updated) = (row.progress_created, row.progress_updated);
    let (created_at, updated_at) = times(created, updated, now, &mut repaired);
    let status = name(
        "reading status",
        row.reading_status.as_deref(),
        ProgressStatus::default(),
        &mut repaired,
    );
    let current_chapter = row.current_chapter.unwrap_or_default();
    if current_chapter < 0 {
        repaired("current chapter below 0 is 0".to_owned());
    }
    Progress {
        id: ProgressId(row.progress_id),
        story_id: StoryId(row.story_id),
        stamp,
        created_stamp: stamp,
        created_at,
        updated_at,
        state: ProgressState {
            status,
            current_chapter: current_chapter.max(0),
            rating: rating(row.rating, &mut repaired),
            notes: prose(
                "notes",
                row.notes.as_deref(),
                ProgressState::MAX_NOTES,
                &mut repaired,
            ),
        },
    }
}

/// Maps a label. Returns a note for each repair.
pub(super) fn label(
    kind: &'static str,
    id: Uuid,
    older: &str,
    stamp: Version,
    (created, updated): (Option<i64>, Option<i64>),
    now: OffsetDateTime,
) -> (Label, Vec<Note>) {
    let mut rules = Vec::new();
    let name = line("name", older, MAX_NAME, UNNAMED, &mut |said| {
        rules.push((Outcome::Repaired, said));
    });
    if rules.is_empty() && name.chars().count() > LabelName::MAX {
        let kept = format!("name of more than {} characters", LabelName::MAX);
        rules.push((Outcome::Kept, kept));
    }
    let (created_at, updated_at) = times(created, updated, now, |said| {
        rules.push((Outcome::Repaired, said));
    });
    let label = Label {
        id: LabelId(id),
        stamp,
        created_stamp: stamp,
        created_at,
        updated_at,
        name: LabelName::stored(name),
    };
    let note = |(outcome, rule)| Note {
        outcome,
        kind,
        id,
        rule,
    };
    (label, rules.into_iter().map(note).collect())
}

/// The key by which the copy of a label's name is compared.
pub(super) fn folded_name(older: &str) -> String {
    LabelName::stored(line("name", older, MAX_NAME, UNNAMED, &mut |_| {})).key()
}

/// Maps a text of one line: trimmed, without control characters, not empty, and not too long.
fn line(
    field: &str,
    text: &str,
    max: usize,
    default: &str,
    repaired: &mut impl FnMut(String),
) -> String {
    let Some(line) = repaired_line(text, max) else {
        repaired(format!("empty {field} is \"{default}\""));
        return default.to_owned();
    };
    if line != text.trim() {
        let rule = if text.chars().count() > max {
            format!("{field} cut at {max} characters")
        } else {
            format!("control characters in the {field} are spaces")
        };
        repaired(rule);
    }
    line
}

/// Maps a text of several lines: null if empty, and not too long.
fn prose(
    field: &str,
    text: Option<&str>,
    max: usize,
    repaired: &mut impl FnMut(String),
) -> Option<String> {
    let text = text.filter(|text| !text.is_empty())?;
    let cut: String = text.chars().take(max).collect();
    if cut.len() < text.len() {
        repaired(format!("{field} cut at {max} characters"));
    }
    Some(cut)
}

fn count(field: &str, count: Option<i32>, repaired: &mut impl FnMut(String)) -> Option<i32> {
    if count.is_some_and(i32::is_negative) {
        repaired(format!("{field} below 0 is none"));
    }
    count.filter(|count| *count >= 0)
}

/// Maps a value of an enum.
fn name<T: std::str::FromStr + Copy + Into<&'static str>>(
    field: &str,
    name: Option<&str>,
    default: T,
    repaired: &mut impl FnMut(String),
) -> T {
    name.and_then(|name| name.parse().ok()).unwrap_or_else(|| {
        let (name, default_name): (_, &str) = (name.unwrap_or("null"), default.into());
        repaired(format!("unknown {field} {name} is {default_name}"));
        default
    })
}

/// Maps a rating in tenths. The older app's form sends 0.0 for none.
fn rating(tenths: Option<i32>, repaired: &mut impl FnMut(String)) -> Option<Rating> {
    let tenths = tenths.filter(|tenths| *tenths > 0)?;
    let most = i32::from(Rating::MAX_TENTHS);
    if tenths > most {
        repaired("rating above 5.0 is 5.0".to_owned());
    }
    Rating::from_stars(f64::from(tenths.min(most)) / 10.0).ok()
}

/// Maps an address. An address that is not one is kept, unless a browser would run it or an index cannot hold it.
fn url(row: &OlderRow, notes: &mut Notes) -> String {
    let url = row.url.as_deref().unwrap_or_default().trim();
    if !is_storable_url(url) {
        let rule = format!(
            "address of more than {} bytes is urn:uuid:<id>",
            StoryContent::MAX_URL
        );
        notes.story(Outcome::Repaired, rule);
        return format!("urn:uuid:{}", row.story_id);
    }
    if is_unsafe_url(url) {
        notes.story(
            Outcome::Repaired,
            "address that runs a script has the prefix unsafe:",
        );
        return format!("unsafe:{url}");
    }
    if parse_url(url).is_err() {
        notes.story(Outcome::Kept, "address that is not http, https or a URN");
    }
    url.to_owned()
}

/// Each time stands in for the other, and now for both.
fn times(
    created: Option<i64>,
    updated: Option<i64>,
    now: OffsetDateTime,
    mut repaired: impl FnMut(String),
) -> (OffsetDateTime, OffsetDateTime) {
    for (field, other, millis) in [
        ("creation", "update", created),
        ("update", "creation", updated),
    ] {
        if millis == Some(NO_TIME) {
            repaired(format!(
                "time of {field} outside the years 1 to 9999 is the time of {other}, or of the adoption"
            ));
        }
    }
    let (created, updated) = (created.and_then(time_of), updated.and_then(time_of));
    let first = created.or(updated).unwrap_or(now);
    (first, updated.unwrap_or(first))
}
