//! `topaz_tag`, `topaz_fandom` and their links to stories.
//!
//! `name_key` is the name, folded to lower case by the server, because the two databases fold differently. A link
//! belongs to its story: changing links stamps the story, so links do not need a stamp.

super::plain_sql! {
    up: r"
CREATE TABLE topaz_tag (
  user_id text NOT NULL REFERENCES topaz_user (subject) ON UPDATE CASCADE ON DELETE CASCADE,
  id uuid NOT NULL,
  stamp integer NOT NULL,
  name text NOT NULL CHECK (name <> ''),
  name_key text COLLATE BINARY NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  PRIMARY KEY (user_id, id),
  CONSTRAINT topaz_tag_name_key UNIQUE (user_id, name_key)
);
CREATE INDEX topaz_tag_stamp ON topaz_tag (user_id, stamp, id);
CREATE TABLE topaz_story_tag (
  user_id text NOT NULL,
  story_id uuid NOT NULL,
  tag_id uuid NOT NULL,
  PRIMARY KEY (user_id, story_id, tag_id),
  FOREIGN KEY (user_id, story_id) REFERENCES topaz_story (user_id, id) ON UPDATE CASCADE ON DELETE CASCADE,
  FOREIGN KEY (user_id, tag_id) REFERENCES topaz_tag (user_id, id) ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE INDEX topaz_story_tag_tag ON topaz_story_tag (user_id, tag_id, story_id);

CREATE TABLE topaz_fandom (
  user_id text NOT NULL REFERENCES topaz_user (subject) ON UPDATE CASCADE ON DELETE CASCADE,
  id uuid NOT NULL,
  stamp integer NOT NULL,
  name text NOT NULL CHECK (name <> ''),
  name_key text COLLATE BINARY NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  PRIMARY KEY (user_id, id),
  CONSTRAINT topaz_fandom_name_key UNIQUE (user_id, name_key)
);
CREATE INDEX topaz_fandom_stamp ON topaz_fandom (user_id, stamp, id);
CREATE TABLE topaz_story_fandom (
  user_id text NOT NULL,
  story_id uuid NOT NULL,
  fandom_id uuid NOT NULL,
  PRIMARY KEY (user_id, story_id, fandom_id),
  FOREIGN KEY (user_id, story_id) REFERENCES topaz_story (user_id, id) ON UPDATE CASCADE ON DELETE CASCADE,
  FOREIGN KEY (user_id, fandom_id) REFERENCES topaz_fandom (user_id, id) ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE INDEX topaz_story_fandom_fandom ON topaz_story_fandom (user_id, fandom_id, story_id);
",
    down: r"
DROP TABLE topaz_story_fandom;
DROP TABLE topaz_story_tag;
DROP TABLE topaz_fandom;
DROP TABLE topaz_tag;
",
}
