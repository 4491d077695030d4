//! `topaz_story`: the works that a user follows. A URL is unique in a library.
//!
//! The server folds each `…_key` to lower case, because the two databases fold differently. Lists sort by `title_key`
//! and `author_key`, and search in `search_key` (title, author and description).
//!
//! Each sort order of the progress list by a column of this table has an index. Without it, a page would join all
//! progresses to their stories. Orders by columns of the progress sort one narrow table.

super::plain_sql! {
    up: r"
CREATE TABLE topaz_story (
  user_id text NOT NULL REFERENCES topaz_user (subject) ON UPDATE CASCADE ON DELETE CASCADE,
  id uuid NOT NULL,
  stamp integer NOT NULL,
  title text NOT NULL CHECK (title <> ''),
  author text NOT NULL DEFAULT 'Unknown',
  url text NOT NULL,
  source text NOT NULL,
  status text NOT NULL,
  description text,
  summary text,
  chapter_count integer CHECK (chapter_count >= 0),
  word_count integer CHECK (word_count >= 0),
  is_nsfw boolean NOT NULL DEFAULT false,
  title_key text COLLATE BINARY NOT NULL,
  author_key text COLLATE BINARY NOT NULL,
  search_key text NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  PRIMARY KEY (user_id, id),
  CONSTRAINT topaz_story_url_key UNIQUE (user_id, url)
);
CREATE INDEX topaz_story_stamp ON topaz_story (user_id, stamp, id);
CREATE INDEX topaz_story_title ON topaz_story (user_id, title_key, id);
CREATE INDEX topaz_story_author ON topaz_story (user_id, author_key, id);
CREATE INDEX topaz_story_words ON topaz_story (user_id, coalesce(word_count, -1), id);
CREATE INDEX topaz_story_chapters ON topaz_story (user_id, coalesce(chapter_count, -1), id);
",
    down: r"
DROP TABLE topaz_story;
",
}
