//! Per-user storage limits.

use crate::library::error::{Error, Refusal, RefusalCode};

/// Storage limits of one user.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Limits of a library")]
#[group(id = "library-limits")]
pub struct Limits {
    /// Maximum number of stories of one user. 0 disables the limit.
    #[arg(long, env, default_value_t = Self::default().max_stories, value_name = "COUNT", value_parser = at_least_0())]
    pub max_stories: i64,
    /// Maximum size of one user's library, in bytes: the texts of stories, notes and label names in UTF-8, and 32 for each
    /// label on a story. With its indexes, a library takes two to four times that on disk. 0 disables the limit.
    #[arg(long, env, default_value_t = Self::default().max_library_bytes, value_name = "BYTES", value_parser = at_least_0())]
    pub max_library_bytes: i64,
    /// Maximum size of one user's mutation receipts, in bytes. A receipt holds the result for an idempotency key. Beyond
    /// the limit, the oldest receipts are deleted. 0 disables the limit.
    #[arg(long, env, default_value_t = Self::default().max_receipt_bytes, value_name = "BYTES", value_parser = at_least_0())]
    pub max_receipt_bytes: i64,
    /// Maximum size of one user's history, in bytes: the former values of fields and deleted rows, and 200 for each record.
    /// Beyond the limit, the oldest history is deleted, and a device whose last sync was before it starts over with a full
    /// sync. No change is refused. 0 disables the limit.
    #[arg(long, env, default_value_t = Self::default().max_history_bytes, value_name = "BYTES", value_parser = at_least_0())]
    pub max_history_bytes: i64,
    /// Maximum number of rows that one undo or restore may write. 0 disables the limit.
    #[arg(long, env, default_value_t = Self::default().max_restored_rows, value_name = "COUNT")]
    pub max_restored_rows: usize,
}

fn at_least_0() -> clap::builder::RangedI64ValueParser<i64> {
    clap::value_parser!(i64).range(0..)
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_stories: 200_000,
            max_library_bytes: 512 << 20,
            max_receipt_bytes: 16 << 20,
            max_history_bytes: 64 << 20,
            max_restored_rows: 20_000,
        }
    }
}

/// The size of a library, or its growth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::library) struct Usage {
    pub stories: i64,
    pub tags: i64,
    pub fandoms: i64,
    /// UTF-8 bytes of the user's texts, plus [`Usage::LINK`] for each label on a story.
    pub bytes: i64,
}

impl Usage {
    /// Cost of a label on a story, in bytes.
    pub const LINK: i64 = 32;

    /// The size of texts.
    pub fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let bytes: usize = texts.into_iter().map(str::len).sum();
        Self {
            bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
            ..Self::default()
        }
    }

    /// The size of `count` labels on stories.
    pub fn links(count: impl TryInto<i64>) -> Self {
        let count = count.try_into().unwrap_or(i64::MAX / Self::LINK);
        Self {
            bytes: Self::LINK * count,
            ..Self::default()
        }
    }

    /// Refuses a change by which a library has `grown` past a limit. A library over a limit may still shrink, and change
    /// in other ways.
    pub fn allow(self, grown: Self, limits: Limits, fields: &GrowthFields) -> Result<(), Error> {
        let most_labels = i64::try_from(super::label::Label::MAX).unwrap_or(i64::MAX);
        let rules = [
            (fields.tags, self.tags, grown.tags, most_labels, "tags"),
            (
                fields.fandoms,
                self.fandoms,
                grown.fandoms,
                most_labels,
                "fandoms",
            ),
            (
                fields.stories,
                self.stories,
                grown.stories,
                limits.max_stories,
                "stories",
            ),
            (
                fields.bytes,
                self.bytes,
                grown.bytes,
                limits.max_library_bytes,
                "bytes",
            ),
        ];
        for (field, holds, more, most, what) in rules {
            if most > 0 && more > 0 && holds > most {
                let message = format!("a library holds at most {most} {what}");
                let refusal = Refusal::new(RefusalCode::LimitReached, field, message);
                return Err(Error::Refused(refusal));
            }
        }
        Ok(())
    }
}

impl std::ops::Add for Usage {
    type Output = Self;

    fn add(mut self, more: Self) -> Self {
        self += more;
        self
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, more: Self) {
        self.stories += more.stories;
        self.tags += more.tags;
        self.fandoms += more.fandoms;
        self.bytes += more.bytes;
    }
}

impl std::ops::SubAssign for Usage {
    fn sub_assign(&mut self, less: Self) {
        self.stories -= less.stories;
        self.tags -= less.tags;
        self.fandoms -= less.fandoms;
        self.bytes -= less.bytes;
    }
}

/// The input fields, in GraphQL's spelling, by which a change makes a library grow.
#[derive(Debug)]
pub(in crate::library) struct GrowthFields {
    stories: &'static str,
    tags: &'static str,
    fandoms: &'static str,
    bytes: &'static str,
}

impl GrowthFields {
    /// Fields of a change of one row.
    pub const ONE: Self = Self {
        stories: "url",
        tags: "name",
        fandoms: "name",
        bytes: "input",
    };
    /// Fields of an import.
    pub const IMPORT: Self = Self {
        stories: "entries",
        tags: "tags",
        fandoms: "fandoms",
        bytes: "entries",
    };
}
