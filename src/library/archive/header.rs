//! The first and the last line of an archive.

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::{
    unix_time,
    version::{Epoch, Head, Version},
};

/// The format that this version writes and reads.
const FORMAT: u32 = 1;

/// The beginning of every archive, by which it is recognised.
pub const MAGIC: &[u8] = b"{\"library\":{\"format\":";

/// The first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FirstLine {
    pub library: Header,
}

/// The state of the library that an archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    format: u32,
    epoch: EpochText,
    version: i32,
    floor: i32,
}

/// An epoch as text, because it exceeds what JavaScript's numbers hold exactly in principle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EpochText(i64);

impl Serialize for EpochText {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EpochText {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

impl Header {
    pub fn new(head: Head, floor: Version) -> Self {
        Self {
            format: FORMAT,
            epoch: EpochText(head.epoch.number()),
            version: head.version.number(),
            floor: floor.number(),
        }
    }

    pub fn head(self) -> Head {
        Head {
            epoch: Epoch::new(self.epoch.0),
            version: Version::new(self.version),
        }
    }

    pub fn floor(self) -> Version {
        Version::new(self.floor)
    }

    /// Checks what a file claims, at the time `now`.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn check(self, now: OffsetDateTime) -> Result<Self, String> {
        if self.format != FORMAT {
            return Err(format!(
                "format {} is not supported, only {FORMAT}: use the version of library-sync that wrote the file",
                self.format
            ));
        }
        if self.version < 1 || !(0..=self.version).contains(&self.floor) {
            return Err("version must be at least 1, and floor from 0 to version".to_owned());
        }
        // A day for clocks that differ. A later epoch would block the epochs that follow.
        let latest = unix_time::millis(now + Duration::DAY);
        if self.epoch.0 < 1 || self.epoch.0 > latest {
            return Err("epoch must be a time in the past, in milliseconds".to_owned());
        }
        Ok(self)
    }
}

/// The last line. A file without it was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LastLine {
    pub end: End,
}

/// The number of rows between the first and the last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    pub rows: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::testing::head;

    #[test]
    fn the_first_line_begins_as_archives_are_recognised_and_is_read_again() {
        let library = Header::new(head(1_763_809_200_000, 42), Version::new(3));
        let line = serde_json::to_string(&FirstLine { library }).unwrap();
        assert!(line.as_bytes().starts_with(MAGIC), "{line}");
        let read: FirstLine = serde_json::from_str(&line).unwrap();
        assert_eq!(read.library.check(OffsetDateTime::now_utc()), Ok(library));
    }

    #[test]
    fn a_header_that_no_library_can_have_is_refused() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let sound = Header::new(head(1_700_000_000_000, 5), Version::new(5));
        assert_eq!(sound.check(now), Ok(sound));
        for wrong in [
            Header { format: 2, ..sound },
            Header {
                version: 0,
                floor: 0,
                ..sound
            },
            Header { floor: 6, ..sound },
            Header { floor: -1, ..sound },
            Header {
                epoch: EpochText(i64::MAX),
                ..sound
            },
            Header {
                epoch: EpochText(0),
                ..sound
            },
        ] {
            assert!(wrong.check(now).is_err(), "{wrong:?}");
        }
    }
}
