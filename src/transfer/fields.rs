//! The fields of an entry, by name.

/// The fields of an entry, as our own files and `importLibrary` name them.
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
