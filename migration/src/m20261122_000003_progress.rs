//! `topaz_progress`: how far a user has read a story, at most one row per story. Ratings are stored in tenths.
//!
//! `search_key` holds the notes, folded to lower case by the server.

super::plain_sql! {
    up: r"
CREATE TABLE topaz_progress (
  user_id text NOT NULL REFERENCES topaz_user (subject) ON UPDATE CASCADE ON DELETE CASCADE,
  id uuid NOT NULL,
  stamp integer NOT NULL,
  story_id uuid NOT NULL,
  status text NOT NULL,
  current_chapter integer NOT NULL DEFAULT 0 CHECK (current_chapter >= 0),
  rating smallint CHECK (rating BETWEEN 0 AND 50),
  notes text CHECK (length(notes) <= 10000),
  search_key text NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  PRIMARY KEY (user_id, id),
  CONSTRAINT topaz_progress_story_key UNIQUE (user_id, story_id),
  FOREIGN KEY (user_id, story_id) REFERENCES topaz_story (user_id, id) ON UPDATE CASCADE
);
CREATE INDEX topaz_progress_stamp ON topaz_progress (user_id, stamp, id);
CREATE INDEX topaz_progress_status ON topaz_progress (user_id, status, stamp, id);
",
    down: r"
DROP TABLE topaz_progress;
",
}
