//! Names of the fields of an entry.

/// The field names of an entry in library-sync files and in `importLibrary`.
pub(super) const FIELDS: [&str; 16] = [
    "title",
    "author",
    "url",
    "source",
    "publicationStatus",
    "description",
    "summary",
    "chapterCount",
    "wordCount",
    "isNsfw",
    "tags",
    "fandoms",
    "readingStatus",
    "currentChapter",
    "rating",
    "notes",
];
