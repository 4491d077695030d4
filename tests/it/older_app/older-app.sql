-- A database of the older app, for tests: the library of two users.
--
-- Tables, columns, types, keys and names are those of that app. The rows are invented. They come in two parts:
--   part 1, as its pages create them (28 stories of two users, each with its progress; labels shared by all users),
--   part 2, rows that its API or two concurrent requests can also create, and that break a rule of library-sync.

CREATE EXTENSION IF NOT EXISTS citext;
CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TYPE reading_status AS ENUM ('NotStarted', 'Reading', 'Paused', 'Completed', 'Dropped');
CREATE TYPE source AS ENUM ('ArchiveOfOurOwn', 'FanFictionNet', 'Wattpad', 'SpaceBattles', 'SufficientVelocity',
  'QuestionableQuesting', 'RoyalRoad', 'WebNovel', 'ScribbleHub', 'NovelBin', 'Other');
CREATE TYPE story_status AS ENUM ('Ongoing', 'Completed', 'Hiatus', 'Abandoned');

CREATE TABLE topaz_user (
  id uuid PRIMARY KEY NOT NULL,
  public_id varchar(128) NOT NULL,
  name varchar(255),
  email varchar(255) NOT NULL,
  email_verified timestamptz DEFAULT CURRENT_TIMESTAMP,
  image varchar(255),
  library_version integer NOT NULL DEFAULT 1
);
COMMENT ON COLUMN topaz_user.library_version IS
  'counts changes of the library';
CREATE INDEX user_library_version_idx ON topaz_user (library_version);
CREATE TABLE topaz_account (
  user_id uuid NOT NULL,
  type varchar(255) NOT NULL,
  provider varchar(255) NOT NULL,
  provider_account_id varchar(255) NOT NULL,
  refresh_token text,
  access_token text,
  expires_at integer,
  token_type varchar(255),
  scope varchar(255),
  id_token text,
  session_state varchar(255),
  CONSTRAINT topaz_account_provider_provider_account_id_pk PRIMARY KEY (provider, provider_account_id),
  CONSTRAINT topaz_account_user_id_topaz_user_id_fk FOREIGN KEY (user_id) REFERENCES topaz_user (id)
);
CREATE INDEX account_user_id_idx ON topaz_account (user_id);
CREATE TABLE topaz_session (
  session_token varchar(255) PRIMARY KEY NOT NULL,
  user_id uuid NOT NULL,
  expires timestamptz NOT NULL,
  CONSTRAINT topaz_session_user_id_topaz_user_id_fk FOREIGN KEY (user_id) REFERENCES topaz_user (id)
);
CREATE INDEX t_user_id_idx ON topaz_session (user_id);
CREATE TABLE topaz_verification_token (
  identifier varchar(255) NOT NULL,
  token varchar(255) NOT NULL,
  expires timestamptz NOT NULL,
  CONSTRAINT topaz_verification_token_identifier_token_pk PRIMARY KEY (identifier, token)
);
CREATE TABLE topaz_story (
  id uuid PRIMARY KEY NOT NULL,
  public_id varchar(128) NOT NULL,
  author citext NOT NULL DEFAULT 'Unknown',
  chapter_count integer,
  description citext,
  is_nsfw boolean NOT NULL DEFAULT false,
  word_count integer,
  source source NOT NULL DEFAULT 'Other',
  status story_status NOT NULL DEFAULT 'Ongoing',
  summary citext,
  title citext NOT NULL,
  url text NOT NULL,
  created_at timestamptz DEFAULT CURRENT_TIMESTAMP,
  updated_at timestamptz
);
CREATE UNIQUE INDEX story_pid_uidx ON topaz_story (public_id);
CREATE INDEX story_source_status_idx ON topaz_story (source, status);
CREATE INDEX story_created_idx ON topaz_story (created_at);
CREATE INDEX story_updated_idx ON topaz_story (updated_at);
CREATE TABLE topaz_progress (
  id uuid PRIMARY KEY NOT NULL,
  public_id varchar(128) NOT NULL,
  user_id uuid NOT NULL,
  story_id uuid NOT NULL,
  reading_status reading_status NOT NULL DEFAULT 'Reading',
  current_chapter integer NOT NULL DEFAULT 0,
  rating numeric(2,1) NOT NULL DEFAULT '0.0',
  notes text,
  created_at timestamptz DEFAULT CURRENT_TIMESTAMP,
  updated_at timestamptz,
  CONSTRAINT "rating between 0 and 5" CHECK (rating >= 0 AND rating <= 5),
  CONSTRAINT topaz_progress_user_id_topaz_user_id_fk FOREIGN KEY (user_id) REFERENCES topaz_user (id) ON DELETE CASCADE,
  CONSTRAINT topaz_progress_story_id_topaz_story_id_fk FOREIGN KEY (story_id) REFERENCES topaz_story (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX prog_pid_uidx ON topaz_progress (public_id);
CREATE UNIQUE INDEX prog_user_story_uidx ON topaz_progress (user_id, story_id);
CREATE INDEX prog_user_status_idx ON topaz_progress (user_id, reading_status);
CREATE INDEX prog_user_idx ON topaz_progress (user_id);
CREATE INDEX prog_story_idx ON topaz_progress (story_id);
CREATE INDEX prog_status_idx ON topaz_progress (reading_status);
CREATE INDEX prog_updated_idx ON topaz_progress (updated_at);
CREATE INDEX prog_created_idx ON topaz_progress (created_at);

CREATE TABLE topaz_tag (
  id uuid PRIMARY KEY NOT NULL,
  public_id varchar(128) NOT NULL,
  name citext NOT NULL,
  created_at timestamptz DEFAULT CURRENT_TIMESTAMP,
  updated_at timestamptz
);
CREATE UNIQUE INDEX tag_pid_uidx ON topaz_tag (public_id);
CREATE UNIQUE INDEX tag_name_uidx ON topaz_tag (name);
CREATE INDEX tag_created_idx ON topaz_tag (created_at);
CREATE INDEX tag_updated_idx ON topaz_tag (updated_at);
CREATE TABLE topaz_story_tag (
  story_id uuid NOT NULL,
  tag_id uuid NOT NULL,
  CONSTRAINT topaz_story_tag_story_id_tag_id_pk PRIMARY KEY (story_id, tag_id),
  CONSTRAINT topaz_story_tag_story_id_topaz_story_id_fk FOREIGN KEY (story_id) REFERENCES topaz_story (id) ON DELETE CASCADE,
  CONSTRAINT topaz_story_tag_tag_id_topaz_tag_id_fk FOREIGN KEY (tag_id) REFERENCES topaz_tag (id) ON DELETE CASCADE
);
CREATE INDEX storytag_story_idx ON topaz_story_tag (story_id);
CREATE INDEX storytag_tag_idx ON topaz_story_tag (tag_id);

CREATE TABLE topaz_fandom (
  id uuid PRIMARY KEY NOT NULL,
  public_id varchar(128) NOT NULL,
  name citext NOT NULL,
  created_at timestamptz DEFAULT CURRENT_TIMESTAMP,
  updated_at timestamptz
);
CREATE UNIQUE INDEX fandom_pid_uidx ON topaz_fandom (public_id);
CREATE UNIQUE INDEX fandom_name_uidx ON topaz_fandom (name);
CREATE INDEX fandom_created_idx ON topaz_fandom (created_at);
CREATE INDEX fandom_updated_idx ON topaz_fandom (updated_at);
CREATE INDEX fandom_name_trgm_idx ON topaz_fandom USING gin (name gin_trgm_ops);
CREATE TABLE topaz_story_fandom (
  story_id uuid NOT NULL,
  fandom_id uuid NOT NULL,
  CONSTRAINT topaz_story_fandom_story_id_fandom_id_pk PRIMARY KEY (story_id, fandom_id),
  CONSTRAINT topaz_story_fandom_story_id_topaz_story_id_fk FOREIGN KEY (story_id) REFERENCES topaz_story (id) ON DELETE CASCADE,
  CONSTRAINT topaz_story_fandom_fandom_id_topaz_fandom_id_fk FOREIGN KEY (fandom_id) REFERENCES topaz_fandom (id) ON DELETE CASCADE
);
CREATE INDEX storyfandom_story_idx ON topaz_story_fandom (story_id);
CREATE INDEX storyfandom_fandom_idx ON topaz_story_fandom (fandom_id);

-- The older app reads its lists and totals from these two, and refreshes them after each change.
CREATE MATERIALIZED VIEW library_mv AS
SELECT p.public_id AS progress_public_id, u.public_id AS user_public_id, s.public_id AS story_public_id,
  s.title AS story_title, s.author AS story_author, s.source AS story_source, s.url AS story_url,
  s.status AS story_status, s.chapter_count AS story_chapter_count, s.word_count AS story_word_count,
  s.is_nsfw AS story_is_nsfw, s.description AS story_description, p.reading_status AS progress_status,
  p.current_chapter AS progress_current_chapter, p.rating AS progress_rating, p.notes AS progress_notes,
  to_tsvector('english', s.title::text) AS search_vector,
  coalesce((SELECT json_agg(json_build_object('publicId', t.public_id, 'name', t.name)) FROM topaz_story_tag l
    JOIN topaz_tag t ON t.id = l.tag_id WHERE l.story_id = s.id), '[]') AS tags,
  coalesce((SELECT json_agg(json_build_object('publicId', f.public_id, 'name', f.name)) FROM topaz_story_fandom l
    JOIN topaz_fandom f ON f.id = l.fandom_id WHERE l.story_id = s.id), '[]') AS fandoms,
  p.updated_at AS updated_at, p.created_at AS created_at
FROM topaz_progress p JOIN topaz_user u ON u.id = p.user_id JOIN topaz_story s ON s.id = p.story_id;
CREATE INDEX idx_library_mv_search ON library_mv USING gin (search_vector);
CREATE UNIQUE INDEX idx_user_library_mv_progress_pid ON library_mv (progress_public_id);
CREATE UNIQUE INDEX idx_user_library_mv_user_progress_pid ON library_mv (user_public_id, progress_public_id);
CREATE UNIQUE INDEX idx_user_library_mv_user_story_unique ON library_mv (user_public_id, story_public_id);
CREATE UNIQUE INDEX idx_library_mv_progress_public_id ON library_mv (progress_public_id);
CREATE MATERIALIZED VIEW library_stats_mv AS
SELECT coalesce(sum(s.word_count), 0) AS total_words_read, coalesce(sum(s.chapter_count), 0) AS total_chapters_read,
  count(DISTINCT f.id) AS fandom_count, count(DISTINCT s.id) AS story_count,
  count(CASE WHEN p.reading_status = 'Completed' THEN 1 END) AS completed,
  count(CASE WHEN p.reading_status = 'Paused' THEN 1 END) AS paused,
  count(CASE WHEN p.reading_status = 'Dropped' THEN 1 END) AS dropped,
  count(CASE WHEN p.reading_status = 'Reading' THEN 1 END) AS reading,
  coalesce(avg(p.rating), 0) AS average_rating
FROM topaz_progress p JOIN topaz_story s ON s.id = p.story_id LEFT JOIN topaz_story_fandom l ON l.story_id = s.id
  LEFT JOIN topaz_fandom f ON f.id = l.fandom_id;

--DATA
-- part 1: as the older app's own pages make them

INSERT INTO topaz_user (id, public_id, name, email, email_verified, image) VALUES ('3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', 's9lyz2v1bg7g3t6tm1perzwe', 'annreads', 'ann@example.org', NULL, 'https://cdn.discordapp.com/avatars/1/a.png');
INSERT INTO topaz_account (user_id, type, provider, provider_account_id, access_token, expires_at, token_type, scope) VALUES ('3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', 'oauth', 'discord', '715748547756818201', 'x', 1760000000, 'bearer', 'identify email');
INSERT INTO topaz_user (id, public_id, name, email, email_verified, image) VALUES ('b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02', 'sfvapykgomor1mqjmy16tyrd', 'bob', 'bob@example.org', NULL, NULL);
INSERT INTO topaz_account (user_id, type, provider, provider_account_id, access_token, expires_at, token_type, scope) VALUES ('b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02', 'oauth', 'discord', '486620309993572086', 'x', 1760000000, 'bearer', 'identify email');
INSERT INTO topaz_tag (id, public_id, name, created_at, updated_at) VALUES ('d39780f5-4d88-4267-bc47-2b5334465c06', 'pfep880sepubj0qsuc43ogon', 'Time Travel', '2025-07-31 22:13:20.042986+00', '2025-07-31 22:13:20.319477+00');
INSERT INTO topaz_tag (id, public_id, name, created_at, updated_at) VALUES ('367be8d5-f831-47aa-9535-a6474b254721', 'we2icit578dffszzyxvuz3vv', 'Slow Burn', '2025-07-31 22:14:20.463218+00', '2025-07-31 22:14:20.348152+00');
INSERT INTO topaz_tag (id, public_id, name, created_at, updated_at) VALUES ('9733f594-f282-496c-b741-799faaffd07d', 'b75kjmgns46ah9a30kqd71fq', 'Hurt/Comfort', '2025-07-31 22:15:20.364798+00', '2025-07-31 22:15:20.653426+00');
INSERT INTO topaz_tag (id, public_id, name, created_at, updated_at) VALUES ('d8ffe974-6e8d-44be-944b-7f451ce3db1d', 'm4s57b483k3f4x62m5a9yixh', 'Enemies to Lovers', '2025-07-31 22:16:20.653166+00', '2025-07-31 22:16:20.358826+00');
INSERT INTO topaz_tag (id, public_id, name, created_at, updated_at) VALUES ('25235537-b6df-47c8-bc3a-09f5eb2d9964', 'e3bh1khtght5ly9pahc5rw1h', 'LitRPG', '2025-07-31 22:17:20.928960+00', '2025-07-31 22:17:20.691641+00');
INSERT INTO topaz_tag (id, public_id, name, created_at, updated_at) VALUES ('8cc2a267-c238-470c-afe9-d1e7913457d5', 'kh84ct69d0p0cg55j1p2sujy', 'Alternate Universe', '2025-07-31 22:18:20.040987+00', '2025-07-31 22:18:20.606623+00');
INSERT INTO topaz_tag (id, public_id, name, created_at, updated_at) VALUES ('9566a01a-c7bc-499c-b8c6-b58877634aca', 'q306uwdg71uq34b2xelhhvrf', 'Fix-It', '2025-07-31 22:19:20.893442+00', '2025-07-31 22:19:20.195713+00');
INSERT INTO topaz_tag (id, public_id, name, created_at, updated_at) VALUES ('6d5135a7-7578-4ffb-847e-7362260c9ceb', 'uubkyrv7jqjhim22z6btwkuf', 'Crossover', '2025-07-31 22:20:20.002747+00', '2025-07-31 22:20:20.164047+00');
INSERT INTO topaz_tag (id, public_id, name, created_at, updated_at) VALUES ('eae4b7ca-4355-43a6-8017-768bc59ab539', 'ms2ru94hrpq9nx6p44hycg34', 'Found Family', '2025-07-31 22:21:20.006434+00', '2025-07-31 22:21:20.600231+00');
INSERT INTO topaz_tag (id, public_id, name, created_at, updated_at) VALUES ('87db669d-91d4-43b0-8cc0-45212b7ad4af', 'zlekhd3vuv1fst7ywdj3doma', 'Progression Fantasy', '2025-07-31 22:22:20.375651+00', '2025-07-31 22:22:20.980236+00');
INSERT INTO topaz_tag (id, public_id, name, created_at, updated_at) VALUES ('f18e2aed-72d7-41af-8aee-895dfd65ac4e', 'uztgxpyghb7ikt8le9ckor6d', 'Angst', '2025-07-31 22:23:20.231255+00', '2025-07-31 22:23:20.398487+00');
INSERT INTO topaz_tag (id, public_id, name, created_at, updated_at) VALUES ('70d66b0b-e354-48e2-984d-2d2676be11c4', 'xk7w8e3ngyiy5dz7ttewqhpj', 'Fluff', '2025-07-31 22:24:20.824176+00', '2025-07-31 22:24:20.781841+00');
INSERT INTO topaz_tag (id, public_id, name, created_at, updated_at) VALUES ('22a70232-8375-4c1d-920d-fee84185f383', 'mg3ux24s2d1vvep7pqaiew0g', 'Isekai', '2025-07-31 22:25:20.321235+00', '2025-07-31 22:25:20.576899+00');
INSERT INTO topaz_tag (id, public_id, name, created_at, updated_at) VALUES ('bf6dbf9a-a412-4edf-a463-bea8e3ca7ac6', 'p6amgm5qjhnxdt2b7w2dvyas', 'Villain Protagonist', '2025-07-31 22:26:20.011575+00', '2025-07-31 22:26:20.450349+00');
INSERT INTO topaz_fandom (id, public_id, name, created_at, updated_at) VALUES ('08ae1fe0-c733-4a99-a947-91d7cdca0f45', 'xdxzz4ctws1ckimtcon1ds4m', 'Worm', '2025-07-31 22:13:20.766161+00', '2025-07-31 22:13:20.838586+00');
INSERT INTO topaz_fandom (id, public_id, name, created_at, updated_at) VALUES ('1b903ec6-fc4f-4ec4-8521-02d63f2c649d', 'yogejn65y6avxuok6986oclf', 'Harry Potter', '2025-07-31 22:14:20.087862+00', '2025-07-31 22:14:20.043324+00');
INSERT INTO topaz_fandom (id, public_id, name, created_at, updated_at) VALUES ('197e9a1e-1956-4cb7-8aca-04589608d865', 'lgu11o1py9eyuzvlofhr11l2', 'Naruto', '2025-07-31 22:15:20.823718+00', '2025-07-31 22:15:20.130630+00');
INSERT INTO topaz_fandom (id, public_id, name, created_at, updated_at) VALUES ('3d4444f3-abb4-402a-a252-0c904c82f2d2', 'b54h4v8a56gzzvsyeukm0sls', 'Original Work', '2025-07-31 22:16:20.416705+00', '2025-07-31 22:16:20.476232+00');
INSERT INTO topaz_fandom (id, public_id, name, created_at, updated_at) VALUES ('3a33c1d2-1475-496d-9f8f-4bd1f3eea03a', 'oekc3vwcgq3ggg9jwhajwxzd', 'My Hero Academia', '2025-07-31 22:17:20.520811+00', '2025-07-31 22:17:20.443490+00');
INSERT INTO topaz_fandom (id, public_id, name, created_at, updated_at) VALUES ('93044ec4-9a37-4f30-b89e-d17f8076fb0f', 'shogk4ro4ezqwx3eum53cs2q', 'Star Wars', '2025-07-31 22:18:20.592031+00', '2025-07-31 22:18:20.283320+00');
INSERT INTO topaz_fandom (id, public_id, name, created_at, updated_at) VALUES ('79f83511-a553-4bbd-956d-ecb06dcac16a', 'uvjn9a1f0k0rhkpea3y7ftm0', 'Mother of Learning', '2025-07-31 22:19:20.206860+00', '2025-07-31 22:19:20.318663+00');
INSERT INTO topaz_fandom (id, public_id, name, created_at, updated_at) VALUES ('5c337a43-9745-425f-89dd-749683a4aca7', 'ncyt4cx885494bc3f8dercuw', 'One Piece', '2025-07-31 22:20:20.553812+00', '2025-07-31 22:20:20.435531+00');
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('bdea9656-8dd4-459e-aa8c-eb90cf7a4ba0', 'n9k6qm6sk9qnivfz68goh7w1', 'nightjar', 75, 'What happens after The Long Way Down.', true, 224025, 'ArchiveOfOurOwn', 'Ongoing', NULL, 'The Long Way Down', 'https://archiveofourown.org/works/4000000', '2025-08-01 22:13:20.640098+00', '2025-08-01 22:13:20.707409+00');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('bdea9656-8dd4-459e-aa8c-eb90cf7a4ba0', '367be8d5-f831-47aa-9535-a6474b254721');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('bdea9656-8dd4-459e-aa8c-eb90cf7a4ba0', '3a33c1d2-1475-496d-9f8f-4bd1f3eea03a');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('bdea9656-8dd4-459e-aa8c-eb90cf7a4ba0', '93044ec4-9a37-4f30-b89e-d17f8076fb0f');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('9c9d43af-9b5a-4503-9669-9f7dd30366b0', 'l89bzb0st5thl1izfg23s01w', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', 'bdea9656-8dd4-459e-aa8c-eb90cf7a4ba0', 'NotStarted', 0, 0.0, 'Read up to the duel; come back for ch. 1.
Rec''d by a friend.', '2025-08-01 22:13:20.310469+00', '2025-08-01 22:13:20.474649+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('eb4d124f-8d54-4401-a55a-b64f51b5bfae', 'vivtlbwcgb3vvjx213x6zcnw', 'Domagoj', 157, '', false, 162181, 'FanFictionNet', 'Completed', NULL, 'A Cadmean Victory', 'https://www.fanfiction.net/s/4007919/1/', '2025-08-02 22:13:20.897406+00', '2025-08-02 22:13:20.683131+00');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('eb4d124f-8d54-4401-a55a-b64f51b5bfae', '367be8d5-f831-47aa-9535-a6474b254721');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('eb4d124f-8d54-4401-a55a-b64f51b5bfae', 'eae4b7ca-4355-43a6-8017-768bc59ab539');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('eb4d124f-8d54-4401-a55a-b64f51b5bfae', '9566a01a-c7bc-499c-b8c6-b58877634aca');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('eb4d124f-8d54-4401-a55a-b64f51b5bfae', '70d66b0b-e354-48e2-984d-2d2676be11c4');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('eb4d124f-8d54-4401-a55a-b64f51b5bfae', '08ae1fe0-c733-4a99-a947-91d7cdca0f45');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('e1f76ece-d573-4b0e-bfe7-556fb0e1820b', 'gv9zceark2znv7msyz2gf0hx', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', 'eb4d124f-8d54-4401-a55a-b64f51b5bfae', 'Reading', 104, 2.4, '', '2025-08-02 22:13:20.020893+00', '2025-08-02 23:13:20.014828+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('660a2e05-4306-43c8-8f72-5ba87b0b1034', 'hw3mce0aoewn6s2n3f3qj17f', 'quillwright', 138, 'What happens after Mirror, Mirror.', false, 340032, 'Wattpad', 'Hiatus', NULL, 'Mirror, Mirror', 'https://www.wattpad.com/story/4015838', '2025-08-03 22:13:20.366669+00', '2025-08-03 22:13:20.961427+00');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('660a2e05-4306-43c8-8f72-5ba87b0b1034', '6d5135a7-7578-4ffb-847e-7362260c9ceb');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('660a2e05-4306-43c8-8f72-5ba87b0b1034', 'eae4b7ca-4355-43a6-8017-768bc59ab539');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('660a2e05-4306-43c8-8f72-5ba87b0b1034', 'bf6dbf9a-a412-4edf-a463-bea8e3ca7ac6');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('660a2e05-4306-43c8-8f72-5ba87b0b1034', '197e9a1e-1956-4cb7-8aca-04589608d865');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('218288a8-d4eb-439e-b4f5-075e09557dc5', 'rleb0k6b6b8y2f4a9wxlx7lq', 'b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02', '660a2e05-4306-43c8-8f72-5ba87b0b1034', 'Paused', 111, 3.6, '', '2025-08-03 22:13:20.121763+00', '2025-08-04 00:13:20.558247+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = 'b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('b2a584ed-5bca-4fc4-b3a5-582c515e2acf', 'ntpfy95ce3jju6gouleabwqy', 'M. de Vries', 40, '', false, 69440, 'SpaceBattles', 'Abandoned', NULL, 'Applied Cultural Anthropology', 'https://forums.spacebattles.com/threads/x.4023757/', '2025-08-04 22:13:20.442880+00', '2025-08-04 22:13:20.015635+00');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('b2a584ed-5bca-4fc4-b3a5-582c515e2acf', '9566a01a-c7bc-499c-b8c6-b58877634aca');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('b2a584ed-5bca-4fc4-b3a5-582c515e2acf', '8cc2a267-c238-470c-afe9-d1e7913457d5');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('b2a584ed-5bca-4fc4-b3a5-582c515e2acf', '08ae1fe0-c733-4a99-a947-91d7cdca0f45');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('6d531049-3d2f-4273-a28c-0cb0d05a3ecb', 'm5xe9ph6cc6zoa73cr3tg0mn', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', 'b2a584ed-5bca-4fc4-b3a5-582c515e2acf', 'Completed', 40, 2.1, 'Read up to the ball; come back for ch. 41.
Rec''d by a friend.', '2025-08-04 22:13:20.385955+00', '2025-08-05 01:13:20.580110+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('af03f490-9100-4e74-9f82-9f561f04b6db', 'wncz9e3zzz1nltr6eaz942u0', 'Ørjan', 82, 'What happens after Of Ghosts and Greenhouses.', false, 130626, 'SufficientVelocity', 'Ongoing', NULL, 'Of Ghosts and Greenhouses', 'https://forums.sufficientvelocity.com/threads/x.4031676/', '2025-08-05 22:13:20.540689+00', '2025-08-05 22:13:20.002779+00');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('af03f490-9100-4e74-9f82-9f561f04b6db', 'd39780f5-4d88-4267-bc47-2b5334465c06');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('af03f490-9100-4e74-9f82-9f561f04b6db', '367be8d5-f831-47aa-9535-a6474b254721');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('af03f490-9100-4e74-9f82-9f561f04b6db', '1b903ec6-fc4f-4ec4-8521-02d63f2c649d');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('af03f490-9100-4e74-9f82-9f561f04b6db', '3a33c1d2-1475-496d-9f8f-4bd1f3eea03a');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('5e03fcd7-a67a-400e-9582-3f8a409fbaf4', 'znojx0x1bawsxw6hb5wkef9r', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', 'af03f490-9100-4e74-9f82-9f561f04b6db', 'Dropped', 42, 0.0, '', '2025-08-05 22:13:20.110914+00', '2025-08-06 02:13:20.616181+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('ab7f598d-7b73-4657-9657-111ce1d06bee', 'xkrv7mxm7w7d5w2pbmc5xyog', 'ao3_lurker', 175, '', false, 529025, 'QuestionableQuesting', 'Completed', NULL, 'Ward of the Sea', 'https://forum.questionablequesting.com/threads/x.4039595/', '2025-08-06 22:13:20.840602+00', '2025-08-06 22:13:20.651664+00');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('ab7f598d-7b73-4657-9657-111ce1d06bee', '22a70232-8375-4c1d-920d-fee84185f383');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('ab7f598d-7b73-4657-9657-111ce1d06bee', '9733f594-f282-496c-b741-799faaffd07d');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('ab7f598d-7b73-4657-9657-111ce1d06bee', '3a33c1d2-1475-496d-9f8f-4bd1f3eea03a');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('fa7bfb42-733f-4e8c-96a9-baceb38f0b88', 'p5se04bdwciu8v3iox11n6j1', 'b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02', 'ab7f598d-7b73-4657-9657-111ce1d06bee', 'NotStarted', 0, 3.6, '', '2025-08-06 22:13:20.435206+00', '2025-08-07 03:13:20.766702+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = 'b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('08b910f2-9e76-4eab-9c56-090e8b619eb4', 'yzdtnjphihma3hxjwpkvb0e0', '紙魚', 8, 'What happens after The Quiet Hours.', false, 14416, 'RoyalRoad', 'Hiatus', NULL, 'The Quiet Hours', 'https://www.royalroad.com/fiction/4047514/x', '2025-08-07 22:13:20.990978+00', '2025-08-07 22:13:20.673050+00');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('08b910f2-9e76-4eab-9c56-090e8b619eb4', '3d4444f3-abb4-402a-a252-0c904c82f2d2');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('08b910f2-9e76-4eab-9c56-090e8b619eb4', '93044ec4-9a37-4f30-b89e-d17f8076fb0f');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('6c1690bd-857e-46b4-8487-ab874cae2ade', 'nhw8s6udv8mmhay8fne0lcjb', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', '08b910f2-9e76-4eab-9c56-090e8b619eb4', 'Reading', 4, 2.2, 'Read up to the siege; come back for ch. 5.
Rec''d by a friend.', '2025-08-07 22:13:20.586268+00', '2025-08-08 04:13:20.668950+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('c61adfab-5fa9-4292-9034-203b80f7f0df', 'vp6dzs5a2nr1bopw93e2icmt', 'Unknown', 114, '', false, 229710, 'WebNovel', 'Abandoned', NULL, 'Paper Crowns', 'https://www.webnovel.com/book/4055433', '2025-08-08 22:13:20.255384+00', '2025-08-08 22:13:20.371150+00');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('c61adfab-5fa9-4292-9034-203b80f7f0df', '367be8d5-f831-47aa-9535-a6474b254721');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('c61adfab-5fa9-4292-9034-203b80f7f0df', '1b903ec6-fc4f-4ec4-8521-02d63f2c649d');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('c61adfab-5fa9-4292-9034-203b80f7f0df', '79f83511-a553-4bbd-956d-ecb06dcac16a');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('a806f1c9-b311-4a7a-a100-7dced680f4ed', 'mg7jr6b5r7nc3oph8asglxlc', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', 'c61adfab-5fa9-4292-9034-203b80f7f0df', 'Paused', 48, 2.1, '', '2025-08-08 22:13:20.461243+00', '2025-08-08 22:13:20.745481+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('4b7a921e-97a1-452f-9b70-45f20a115e9c', 'as0zoccfr9dfxjvjcby2lkk0', 'nightjar', 2, 'What happens after Twelve Moons Over Konoha.', false, 8234, 'ScribbleHub', 'Ongoing', NULL, 'Twelve Moons Over Konoha', 'https://www.scribblehub.com/series/4063352/x/', '2025-08-09 22:13:20.146739+00', '2025-08-09 22:13:20.620897+00');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('4b7a921e-97a1-452f-9b70-45f20a115e9c', 'eae4b7ca-4355-43a6-8017-768bc59ab539');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('4b7a921e-97a1-452f-9b70-45f20a115e9c', 'f18e2aed-72d7-41af-8aee-895dfd65ac4e');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('4b7a921e-97a1-452f-9b70-45f20a115e9c', '9566a01a-c7bc-499c-b8c6-b58877634aca');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('4b7a921e-97a1-452f-9b70-45f20a115e9c', 'd8ffe974-6e8d-44be-944b-7f451ce3db1d');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('4b7a921e-97a1-452f-9b70-45f20a115e9c', '3d4444f3-abb4-402a-a252-0c904c82f2d2');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('4b7a921e-97a1-452f-9b70-45f20a115e9c', '08ae1fe0-c733-4a99-a947-91d7cdca0f45');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('b5dcb7c8-032b-41e9-97aa-e625c20e7917', 'iibe1y116xbef53x2jz64ekf', 'b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02', '4b7a921e-97a1-452f-9b70-45f20a115e9c', 'Completed', 2, 0.0, '', '2025-08-09 22:13:20.205831+00', '2025-08-09 23:13:20.499590+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = 'b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('c5c4bda8-99d6-4edc-95dc-ebfb0acea8fb', 'r34bnf0ljm62q08y7pjhmlvs', 'Domagoj', 105, '', true, 250845, 'NovelBin', 'Completed', NULL, 'Cartographer', 'https://novelbin.com/b/4071271', '2025-08-10 22:13:20.666413+00', '2025-08-10 22:13:20.884788+00');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('c5c4bda8-99d6-4edc-95dc-ebfb0acea8fb', '3d4444f3-abb4-402a-a252-0c904c82f2d2');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('1f6d401c-b10c-4fe1-8873-be58f4967bbf', 'r0g5cj58imaw01v2b3q7fy3f', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', 'c5c4bda8-99d6-4edc-95dc-ebfb0acea8fb', 'Dropped', 55, 2.1, 'Read up to the siege; come back for ch. 56.
Rec''d by a friend.', '2025-08-10 22:13:20.518904+00', '2025-08-11 00:13:20.386753+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('2482e5bb-680f-4d68-a3df-702e13b2db9c', 'i4fjp5021e222vasepi779l0', 'quillwright', 23, 'What happens after The Wandering Inn-keeper''s Tale.', false, 88688, 'Other', 'Hiatus', NULL, 'The Wandering Inn-keeper''s Tale', 'https://example.org/fic/4079190', '2025-08-11 22:13:20.662637+00', '2025-08-11 22:13:20.145733+00');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('2482e5bb-680f-4d68-a3df-702e13b2db9c', '25235537-b6df-47c8-bc3a-09f5eb2d9964');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('2482e5bb-680f-4d68-a3df-702e13b2db9c', '5c337a43-9745-425f-89dd-749683a4aca7');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('ddad7647-f7de-464d-9c97-cc93cc301d21', 'yqhczu4cy3ntun3a1o62m336', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', '2482e5bb-680f-4d68-a3df-702e13b2db9c', 'NotStarted', 0, 2.2, '', '2025-08-11 22:13:20.712295+00', '2025-08-12 01:13:20.461936+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('99c82be7-e10a-436f-8218-d8cd72f91d26', 'b7k5akh5l1rglog77lbwht30', 'M. de Vries', 3, '', false, 10929, 'ArchiveOfOurOwn', 'Abandoned', NULL, 'Thresholder''s Debt', 'https://archiveofourown.org/works/4087109', '2025-08-12 22:13:20.864880+00', '2025-08-12 22:13:20.133976+00');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('99c82be7-e10a-436f-8218-d8cd72f91d26', '70d66b0b-e354-48e2-984d-2d2676be11c4');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('99c82be7-e10a-436f-8218-d8cd72f91d26', '6d5135a7-7578-4ffb-847e-7362260c9ceb');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('99c82be7-e10a-436f-8218-d8cd72f91d26', 'f18e2aed-72d7-41af-8aee-895dfd65ac4e');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('99c82be7-e10a-436f-8218-d8cd72f91d26', '3d4444f3-abb4-402a-a252-0c904c82f2d2');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('99c82be7-e10a-436f-8218-d8cd72f91d26', '79f83511-a553-4bbd-956d-ecb06dcac16a');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('5c6e2575-a3ff-40be-b2a8-06decf63e238', 'vn6otruxdlr37jt1t3wmquk0', 'b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02', '99c82be7-e10a-436f-8218-d8cd72f91d26', 'Reading', 3, 1.3, '', '2025-08-12 22:13:20.027360+00', '2025-08-13 02:13:20.849945+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = 'b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('799e7628-2110-4ea6-a387-4d595a85c43e', 'y7egltvv9nifbq8k528vrdkz', 'Ørjan', 111, 'What happens after Seventh Horizon.', false, 448551, 'FanFictionNet', 'Ongoing', NULL, 'Seventh Horizon', 'https://www.fanfiction.net/s/4095028/1/', '2025-08-13 22:13:20.411591+00', '2025-08-13 22:13:20.084047+00');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('799e7628-2110-4ea6-a387-4d595a85c43e', '367be8d5-f831-47aa-9535-a6474b254721');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('799e7628-2110-4ea6-a387-4d595a85c43e', '197e9a1e-1956-4cb7-8aca-04589608d865');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('799e7628-2110-4ea6-a387-4d595a85c43e', '93044ec4-9a37-4f30-b89e-d17f8076fb0f');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('8dc736b0-c4e2-4546-8220-13f373d73a1c', 'ezkjepyltxw2o10611x6gund', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', '799e7628-2110-4ea6-a387-4d595a85c43e', 'Paused', 12, 0.0, 'Read up to the siege; come back for ch. 13.
Rec''d by a friend.', '2025-08-13 22:13:20.628265+00', '2025-08-14 03:13:20.898738+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('72a506d4-b4ce-47d6-8a1f-1c26ea20c45e', 'e1hbkmaomte8wj08rexyfz62', 'ao3_lurker', 2, '', false, 1828, 'Wattpad', 'Completed', NULL, 'Lungs of the City', 'https://www.wattpad.com/story/4102947', '2025-08-14 22:13:20.202629+00', '2025-08-14 22:13:20.233535+00');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('72a506d4-b4ce-47d6-8a1f-1c26ea20c45e', '9733f594-f282-496c-b741-799faaffd07d');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('72a506d4-b4ce-47d6-8a1f-1c26ea20c45e', 'd39780f5-4d88-4267-bc47-2b5334465c06');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('72a506d4-b4ce-47d6-8a1f-1c26ea20c45e', '6d5135a7-7578-4ffb-847e-7362260c9ceb');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('72a506d4-b4ce-47d6-8a1f-1c26ea20c45e', '197e9a1e-1956-4cb7-8aca-04589608d865');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('72a506d4-b4ce-47d6-8a1f-1c26ea20c45e', '08ae1fe0-c733-4a99-a947-91d7cdca0f45');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('e90812fe-7e83-474e-85a3-630e05d633df', 'cw3l6wkvw6crj3jxkb50y33b', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', '72a506d4-b4ce-47d6-8a1f-1c26ea20c45e', 'Completed', 2, 1.4, '', '2025-08-14 22:13:20.408280+00', '2025-08-15 04:13:20.863360+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('b10b7a5c-eba0-4168-ae56-b4d261a240c3', 'cms118xmusq6vdxjw8iu14cf', '紙魚', 187, 'What happens after Kintsugi.', false, 408221, 'SpaceBattles', 'Hiatus', NULL, 'Kintsugi', 'https://forums.spacebattles.com/threads/x.4110866/', '2025-08-15 22:13:20.685697+00', '2025-08-15 22:13:20.047672+00');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('b10b7a5c-eba0-4168-ae56-b4d261a240c3', '08ae1fe0-c733-4a99-a947-91d7cdca0f45');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('b10b7a5c-eba0-4168-ae56-b4d261a240c3', '197e9a1e-1956-4cb7-8aca-04589608d865');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('f72c9a31-3624-496a-9ecd-6714c77495a7', 'pr3n3tfztr92dhmpmthyplkg', 'b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02', 'b10b7a5c-eba0-4168-ae56-b4d261a240c3', 'Dropped', 173, 2.2, '', '2025-08-15 22:13:20.165774+00', '2025-08-15 22:13:20.728739+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = 'b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('b253db7c-4a9f-47c0-988a-ab059773e869', 'yq5hq6hyb7pkg4dyt9bz3nid', 'Unknown', 23, '', false, 90459, 'SufficientVelocity', 'Abandoned', NULL, 'An Inheritance of Ash', 'https://forums.sufficientvelocity.com/threads/x.4118785/', '2025-08-16 22:13:20.486772+00', '2025-08-16 22:13:20.853869+00');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('b253db7c-4a9f-47c0-988a-ab059773e869', '3d4444f3-abb4-402a-a252-0c904c82f2d2');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('b253db7c-4a9f-47c0-988a-ab059773e869', '197e9a1e-1956-4cb7-8aca-04589608d865');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('28ddf5a9-0ef0-4dd1-9882-a7e8fa194175', 'ydi1ojzzc17tdpn62ov66um8', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', 'b253db7c-4a9f-47c0-988a-ab059773e869', 'NotStarted', 0, 2.5, 'Read up to the ball; come back for ch. 1.
Rec''d by a friend.', '2025-08-16 22:13:20.522221+00', '2025-08-16 23:13:20.901495+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('05ee2f2d-aa94-41bb-9cf0-2684b5700770', 'ngqtmwgddu5vvssmje07no67', 'nightjar', 94, 'What happens after Weaver Nine.', false, 356166, 'QuestionableQuesting', 'Ongoing', NULL, 'Weaver Nine', 'https://forum.questionablequesting.com/threads/x.4126704/', '2025-08-17 22:13:20.297760+00', '2025-08-17 22:13:20.948207+00');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('05ee2f2d-aa94-41bb-9cf0-2684b5700770', '3a33c1d2-1475-496d-9f8f-4bd1f3eea03a');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('05ee2f2d-aa94-41bb-9cf0-2684b5700770', '08ae1fe0-c733-4a99-a947-91d7cdca0f45');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('6456518d-78ce-45c6-9af6-56b500a42732', 'ktevg7k4gfc5931sz9b26hou', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', '05ee2f2d-aa94-41bb-9cf0-2684b5700770', 'Reading', 21, 0.0, '', '2025-08-17 22:13:20.458511+00', '2025-08-18 00:13:20.284680+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('a2a5127b-5528-4b8c-be69-b60edd8511fc', 'q7rglmbia6za1f95dcynbshf', 'Domagoj', 172, '', false, 498112, 'RoyalRoad', 'Completed', NULL, 'Nobody''s Chosen One', 'https://www.royalroad.com/fiction/4134623/x', '2025-08-18 22:13:20.540134+00', '2025-08-18 22:13:20.122249+00');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('a2a5127b-5528-4b8c-be69-b60edd8511fc', '22a70232-8375-4c1d-920d-fee84185f383');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('a2a5127b-5528-4b8c-be69-b60edd8511fc', '9733f594-f282-496c-b741-799faaffd07d');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('a2a5127b-5528-4b8c-be69-b60edd8511fc', '5c337a43-9745-425f-89dd-749683a4aca7');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('a2a5127b-5528-4b8c-be69-b60edd8511fc', '1b903ec6-fc4f-4ec4-8521-02d63f2c649d');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('604df4ef-3e8f-4073-a808-59f2fbf9adda', 'b538q7sk22h4lz8znrsy8l64', 'b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02', 'a2a5127b-5528-4b8c-be69-b60edd8511fc', 'Paused', 60, 2.0, '', '2025-08-18 22:13:20.026738+00', '2025-08-19 01:13:20.907391+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = 'b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('73d665b3-a805-45ef-93be-95e87be92911', 'i4d3pqbh1in5svn20102elcl', 'quillwright', 101, 'What happens after Forty Thousand Steps.', true, 262600, 'WebNovel', 'Hiatus', NULL, 'Forty Thousand Steps', 'https://www.webnovel.com/book/4142542', '2025-08-19 22:13:20.452092+00', '2025-08-19 22:13:20.923728+00');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('73d665b3-a805-45ef-93be-95e87be92911', '367be8d5-f831-47aa-9535-a6474b254721');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('73d665b3-a805-45ef-93be-95e87be92911', '87db669d-91d4-43b0-8cc0-45212b7ad4af');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('73d665b3-a805-45ef-93be-95e87be92911', '3a33c1d2-1475-496d-9f8f-4bd1f3eea03a');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('3b835f9d-12ac-4a58-89cf-fbf36eba4e32', 'oi4jvi1zf55ov51msxuswnwo', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', '73d665b3-a805-45ef-93be-95e87be92911', 'Completed', 101, 3.0, 'Read up to the siege; come back for ch. 102.
Rec''d by a friend.', '2025-08-19 22:13:20.729876+00', '2025-08-20 02:13:20.981966+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('c628e8a0-e023-4393-bfa0-41be2588b14e', 'bh626lcwlegxkq2n7cau9av2', 'M. de Vries', 71, '', false, 296354, 'ScribbleHub', 'Abandoned', NULL, 'The Last Librarian', 'https://www.scribblehub.com/series/4150461/x/', '2025-08-20 22:13:20.523792+00', '2025-08-20 22:13:20.157608+00');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('c628e8a0-e023-4393-bfa0-41be2588b14e', '79f83511-a553-4bbd-956d-ecb06dcac16a');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('03ceae01-0381-4db9-a5d9-38c1218c3fdd', 'hyth4fnjn7vxg7hp8ojakj0u', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', 'c628e8a0-e023-4393-bfa0-41be2588b14e', 'Dropped', 22, 3.6, '', '2025-08-20 22:13:20.625819+00', '2025-08-21 03:13:20.945111+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('80879dfa-0ac1-4ed9-b7f2-2b0fbbbb4793', 'gwhz81nreqvn1o07vyodb1ha', 'Ørjan', 135, 'What happens after Échos d''hiver.', false, 279315, 'NovelBin', 'Ongoing', NULL, 'Échos d''hiver', 'https://novelbin.com/b/4158380', '2025-08-21 22:13:20.220965+00', '2025-08-21 22:13:20.532233+00');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('80879dfa-0ac1-4ed9-b7f2-2b0fbbbb4793', '87db669d-91d4-43b0-8cc0-45212b7ad4af');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('80879dfa-0ac1-4ed9-b7f2-2b0fbbbb4793', 'd39780f5-4d88-4267-bc47-2b5334465c06');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('80879dfa-0ac1-4ed9-b7f2-2b0fbbbb4793', '25235537-b6df-47c8-bc3a-09f5eb2d9964');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('80879dfa-0ac1-4ed9-b7f2-2b0fbbbb4793', '197e9a1e-1956-4cb7-8aca-04589608d865');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('80879dfa-0ac1-4ed9-b7f2-2b0fbbbb4793', '3a33c1d2-1475-496d-9f8f-4bd1f3eea03a');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('9a3bc3ba-c25a-494d-8231-bfbb15c5324b', 'axqvicanugmbtzgq4mmae6kw', 'b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02', '80879dfa-0ac1-4ed9-b7f2-2b0fbbbb4793', 'NotStarted', 0, 0.0, '', '2025-08-21 22:13:20.015192+00', '2025-08-22 04:13:20.945138+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = 'b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('4378a2ad-4a54-4e63-9042-0c6e42198073', 'xfvksjuzvrkwq7joayh8e66c', 'ao3_lurker', 24, '', false, 91248, 'Other', 'Completed', NULL, 'Красная нить', 'https://example.org/fic/4166299', '2025-08-22 22:13:20.386347+00', '2025-08-22 22:13:20.971869+00');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('4378a2ad-4a54-4e63-9042-0c6e42198073', '93044ec4-9a37-4f30-b89e-d17f8076fb0f');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('4378a2ad-4a54-4e63-9042-0c6e42198073', '197e9a1e-1956-4cb7-8aca-04589608d865');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('4c65bf51-8496-4637-adbd-5e2f596486be', 'blvcib2k4eiretlk9nas4o5u', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', '4378a2ad-4a54-4e63-9042-0c6e42198073', 'Reading', 18, 2.0, 'Read up to the ball; come back for ch. 19.
Rec''d by a friend.', '2025-08-22 22:13:20.237961+00', '2025-08-22 22:13:20.467389+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('9de0552d-ac86-458c-82ca-741f534ce338', 'ujzrcj8d02kzs12usi8m6fez', '紙魚', 66, 'What happens after 夜の図書館.', false, 132462, 'ArchiveOfOurOwn', 'Hiatus', NULL, '夜の図書館', 'https://archiveofourown.org/works/4174218', '2025-08-23 22:13:20.283279+00', '2025-08-23 22:13:20.902080+00');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('9de0552d-ac86-458c-82ca-741f534ce338', '9566a01a-c7bc-499c-b8c6-b58877634aca');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('9de0552d-ac86-458c-82ca-741f534ce338', 'eae4b7ca-4355-43a6-8017-768bc59ab539');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('9de0552d-ac86-458c-82ca-741f534ce338', '367be8d5-f831-47aa-9535-a6474b254721');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('9de0552d-ac86-458c-82ca-741f534ce338', '197e9a1e-1956-4cb7-8aca-04589608d865');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('9de0552d-ac86-458c-82ca-741f534ce338', '79f83511-a553-4bbd-956d-ecb06dcac16a');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('f6142a74-407c-42fe-9008-a31b20cf12d1', 'tf2qym91iskhe76zh4kztqpk', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', '9de0552d-ac86-458c-82ca-741f534ce338', 'Paused', 40, 1.6, '', '2025-08-23 22:13:20.433708+00', '2025-08-23 23:13:20.937491+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('07cf3644-29dc-4a6c-b2fd-f35e103c69ce', 'qazv3wgapojzwv2p7cd107ai', 'Unknown', 181, '', false, 705538, 'FanFictionNet', 'Abandoned', NULL, 'Salt & Iron', 'https://www.fanfiction.net/s/4182137/1/', '2025-08-24 22:13:20.607827+00', '2025-08-24 22:13:20.422829+00');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('07cf3644-29dc-4a6c-b2fd-f35e103c69ce', '9566a01a-c7bc-499c-b8c6-b58877634aca');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('07cf3644-29dc-4a6c-b2fd-f35e103c69ce', 'bf6dbf9a-a412-4edf-a463-bea8e3ca7ac6');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('07cf3644-29dc-4a6c-b2fd-f35e103c69ce', 'eae4b7ca-4355-43a6-8017-768bc59ab539');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('07cf3644-29dc-4a6c-b2fd-f35e103c69ce', '93044ec4-9a37-4f30-b89e-d17f8076fb0f');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('f6e04820-ffc7-492a-804f-8d236457b153', 'bblb2y0f7krhsnf3rtrnpko1', 'b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02', '07cf3644-29dc-4a6c-b2fd-f35e103c69ce', 'Completed', 181, 5.0, '', '2025-08-24 22:13:20.945445+00', '2025-08-25 00:13:20.951951+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = 'b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('053f6a31-7758-4f0d-91a9-b06b6be69225', 'odowpu411fdnecspanhs1wde', 'nightjar', 135, 'What happens after Clockwork Familiar.', false, 435645, 'Wattpad', 'Ongoing', NULL, 'Clockwork Familiar', 'https://www.wattpad.com/story/4190056', '2025-08-25 22:13:20.533027+00', '2025-08-25 22:13:20.382299+00');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('053f6a31-7758-4f0d-91a9-b06b6be69225', '87db669d-91d4-43b0-8cc0-45212b7ad4af');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('053f6a31-7758-4f0d-91a9-b06b6be69225', '9733f594-f282-496c-b741-799faaffd07d');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('053f6a31-7758-4f0d-91a9-b06b6be69225', 'bf6dbf9a-a412-4edf-a463-bea8e3ca7ac6');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('053f6a31-7758-4f0d-91a9-b06b6be69225', '25235537-b6df-47c8-bc3a-09f5eb2d9964');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('053f6a31-7758-4f0d-91a9-b06b6be69225', '3a33c1d2-1475-496d-9f8f-4bd1f3eea03a');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('053f6a31-7758-4f0d-91a9-b06b6be69225', '197e9a1e-1956-4cb7-8aca-04589608d865');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('91641ab9-43b8-49ed-b1b3-0b760765677a', 'c9lfywayi7ne06exzgyol5fa', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', '053f6a31-7758-4f0d-91a9-b06b6be69225', 'Dropped', 59, 0.0, 'Read up to the ball; come back for ch. 60.
Rec''d by a friend.', '2025-08-25 22:13:20.932559+00', '2025-08-26 01:13:20.100551+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('35014ff1-602d-4ac7-acb1-aac27d37e26e', 'l1fhkx8rcavxhin536nkiexz', 'Domagoj', 10, '', false, 12110, 'SpaceBattles', 'Completed', NULL, 'The Understudy', 'https://forums.spacebattles.com/threads/x.4197975/', '2025-08-26 22:13:20.819606+00', '2025-08-26 22:13:20.527512+00');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('35014ff1-602d-4ac7-acb1-aac27d37e26e', 'd39780f5-4d88-4267-bc47-2b5334465c06');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('35014ff1-602d-4ac7-acb1-aac27d37e26e', '3a33c1d2-1475-496d-9f8f-4bd1f3eea03a');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('35014ff1-602d-4ac7-acb1-aac27d37e26e', '93044ec4-9a37-4f30-b89e-d17f8076fb0f');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('6d65a1c5-963d-4980-927f-9e7d5b6dda98', 'y6f9epgsmbltf1cokuhf75hf', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', '35014ff1-602d-4ac7-acb1-aac27d37e26e', 'NotStarted', 0, 4.8, '', '2025-08-26 22:13:20.021281+00', '2025-08-27 02:13:20.315912+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('a61985ca-45a8-4b7e-834a-e5729cc75c8d', 'i355uxf7ade9qvahw8u39ztr', 'quillwright', 145, 'What happens after Every Dead Star.', false, 265495, 'SufficientVelocity', 'Hiatus', NULL, 'Every Dead Star', 'https://forums.sufficientvelocity.com/threads/x.4205894/', '2025-08-27 22:13:20.013215+00', '2025-08-27 22:13:20.749151+00');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('a61985ca-45a8-4b7e-834a-e5729cc75c8d', '22a70232-8375-4c1d-920d-fee84185f383');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('a61985ca-45a8-4b7e-834a-e5729cc75c8d', '197e9a1e-1956-4cb7-8aca-04589608d865');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('a61985ca-45a8-4b7e-834a-e5729cc75c8d', '3d4444f3-abb4-402a-a252-0c904c82f2d2');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('9f345619-4b30-48cd-bf85-f0946201e715', 'g5dgi6jswy64b97k7qudgfgs', 'b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02', 'a61985ca-45a8-4b7e-834a-e5729cc75c8d', 'Reading', 55, 3.2, '', '2025-08-27 22:13:20.497678+00', '2025-08-28 03:13:20.025923+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = 'b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02';
INSERT INTO topaz_story (id, public_id, author, chapter_count, description, is_nsfw, word_count, source, status, summary, title, url, created_at, updated_at) VALUES ('85fa3a6b-48ad-4914-9e77-7b45ec9eafa3', 'fzjhw3xamy618yn43xat8zwm', 'M. de Vries', 83, '', true, 118109, 'QuestionableQuesting', 'Abandoned', NULL, 'Second Sunrise', 'https://forum.questionablequesting.com/threads/x.4213813/', '2025-08-28 22:13:20.405433+00', '2025-08-28 22:13:20.687647+00');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('85fa3a6b-48ad-4914-9e77-7b45ec9eafa3', '87db669d-91d4-43b0-8cc0-45212b7ad4af');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('85fa3a6b-48ad-4914-9e77-7b45ec9eafa3', 'd8ffe974-6e8d-44be-944b-7f451ce3db1d');
INSERT INTO topaz_story_tag (story_id, tag_id) VALUES ('85fa3a6b-48ad-4914-9e77-7b45ec9eafa3', '70d66b0b-e354-48e2-984d-2d2676be11c4');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('85fa3a6b-48ad-4914-9e77-7b45ec9eafa3', '1b903ec6-fc4f-4ec4-8521-02d63f2c649d');
INSERT INTO topaz_story_fandom (story_id, fandom_id) VALUES ('85fa3a6b-48ad-4914-9e77-7b45ec9eafa3', '08ae1fe0-c733-4a99-a947-91d7cdca0f45');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('a495fe82-2ad9-494a-9985-e4e759c8e1ca', 'j5wjs9ij38q6ycxbnz2rjm76', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', '85fa3a6b-48ad-4914-9e77-7b45ec9eafa3', 'Paused', 61, 1.0, 'Read up to the ball; come back for ch. 62.
Rec''d by a friend.', '2025-08-28 22:13:20.414311+00', '2025-08-29 04:13:20.157956+00');
UPDATE topaz_user SET library_version = library_version + 1 WHERE id = '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51';
--TRAPS
-- part 2: what else that database may hold

-- T1 a story that both users follow (no key forbids it; the two share the one row and its labels)
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('65f6042a-1665-48ca-b29d-c8ddf1ac97b2', 'r7gcscwycwsngus2ygy39nwy', 'b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02', 'bdea9656-8dd4-459e-aa8c-eb90cf7a4ba0', 'Reading', 3, '4.5', NULL, '2025-07-31 22:13:20.666829+00', '2025-07-31 22:13:20.013679+00');
-- T2 stories that nobody follows (story.create alone; progress.delete without story.delete; the test script leaves a fifth so)
INSERT INTO topaz_story (id, public_id, title, url, author, chapter_count, word_count, description, summary, is_nsfw, source, status, created_at, updated_at) VALUES ('c84c9526-ee89-477c-84cd-d7c75c70c511', 'ncqtsmmvlle9dsat6v54xvdh', 'An Orphan', 'https://example.org/orphan', 'Unknown', NULL, NULL, NULL, NULL, false, 'Other', 'Ongoing', '2025-07-31 22:13:20.865562+00', '2025-07-31 22:13:20.534209+00');
INSERT INTO topaz_story_tag VALUES ('c84c9526-ee89-477c-84cd-d7c75c70c511', 'f18e2aed-72d7-41af-8aee-895dfd65ac4e');
INSERT INTO topaz_story (id, public_id, title, url, author, chapter_count, word_count, description, summary, is_nsfw, source, status, created_at, updated_at) VALUES ('1b48ff6a-27b6-418b-94bd-54141a013a6f', 'uso4uv6fafe7f7jarfyiy6iv', 'Another Orphan', 'https://example.org/orphan-2', 'Unknown', NULL, NULL, NULL, NULL, false, 'Other', 'Ongoing', '2025-07-31 22:13:20.343390+00', '2025-07-31 22:13:20.493598+00');
-- T3 one address twice in one library (the app looks for the url first, but no key holds it: two tabs at once)
INSERT INTO topaz_story (id, public_id, title, url, author, chapter_count, word_count, description, summary, is_nsfw, source, status, created_at, updated_at) VALUES ('a718992b-44bc-4130-963c-1fbbe750a3c6', 'woawvxor3viu11fylxnh2hm6', 'Twice 1', 'https://archiveofourown.org/works/777', 'Unknown', NULL, NULL, NULL, NULL, false, 'Other', 'Ongoing', '2025-07-31 22:13:20.060025+00', '2025-07-31 22:13:20.018629+00');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('8ec8b0d1-f57d-4992-97ec-969bf9bdbaf0', 'aetowm2sqxi9ovaxbljdx5pw', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', 'a718992b-44bc-4130-963c-1fbbe750a3c6', 'Reading', 1, '0.0', NULL, '2025-07-31 22:13:20.703733+00', '2025-07-31 22:13:20.485419+00');
INSERT INTO topaz_story (id, public_id, title, url, author, chapter_count, word_count, description, summary, is_nsfw, source, status, created_at, updated_at) VALUES ('ce5fca8e-8904-4972-a616-ef4b0a5cd0b7', 'xihafzzl1re9falra7rihd62', 'Twice 2', 'https://archiveofourown.org/works/777', 'Unknown', NULL, NULL, NULL, NULL, false, 'Other', 'Ongoing', '2025-07-31 22:13:20.270486+00', '2025-07-31 22:13:20.839039+00');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('946f18e7-5b2e-4059-a227-86af20f59298', 'hl60wxe9et4o92yhr14h0m8z', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', 'ce5fca8e-8904-4972-a616-ef4b0a5cd0b7', 'Reading', 2, '0.0', NULL, '2025-07-31 22:13:20.534808+00', '2025-07-31 22:13:20.869780+00');
-- T5 names over 100 characters (the app takes 255, tag.create any)
INSERT INTO topaz_tag (id, public_id, name) VALUES ('58300fd2-8ff3-4dd7-ae61-3aac8f77052d', 'pmtxucnh1b5jdw0551iijdvr', 'long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long ');
-- T6 labels on no story (whose are they?)
INSERT INTO topaz_fandom (id, public_id, name) VALUES ('b4fa9e0d-bc80-48a2-a1d0-3d0a1da981ee', 'bvu51bjusxdy4w1j313rlw9r', 'Nobody''s Fandom');
-- T7 texts and numbers that our checks refuse: an empty title, counts below 0, notes over 10,000 (updateWithRelations cuts nothing)
INSERT INTO topaz_story (id, public_id, title, url, author, chapter_count, word_count, description, summary, is_nsfw, source, status, created_at, updated_at) VALUES ('fa5bf1d9-abda-490f-ac27-f12f5e4d8ab0', 'g0iqww6pifnqp8ud3ypnt31l', '', 'https://example.org/untitled', 'Unknown', NULL, NULL, NULL, NULL, false, 'Other', 'Ongoing', '2025-07-31 22:13:20.230738+00', '2025-07-31 22:13:20.963282+00');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('2789a1ab-9f08-4a73-9813-08e009492f93', 'r7e6um28stf5jl58w31ttrkb', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', 'fa5bf1d9-abda-490f-ac27-f12f5e4d8ab0', 'Reading', 0, '0.0', NULL, '2025-07-31 22:13:20.462061+00', '2025-07-31 22:13:20.828530+00');
INSERT INTO topaz_story (id, public_id, title, url, author, chapter_count, word_count, description, summary, is_nsfw, source, status, created_at, updated_at) VALUES ('ff02f25f-9be6-4685-879f-2a8937b2045d', 'rf8jjhi8wq3xmm1j21rj4ke4', 'Minus', 'https://example.org/minus', 'Unknown', -1, -5, NULL, NULL, false, 'Other', 'Ongoing', '2025-07-31 22:13:20.753761+00', '2025-07-31 22:13:20.161701+00');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('448e2a8d-b1e1-47a9-a87f-cd35183a6403', 'b6h55aeyjhgfbesx0gt7zwxs', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', 'ff02f25f-9be6-4685-879f-2a8937b2045d', 'Reading', -2, '0.0', NULL, '2025-07-31 22:13:20.245945+00', '2025-07-31 22:13:20.032092+00');
INSERT INTO topaz_story (id, public_id, title, url, author, chapter_count, word_count, description, summary, is_nsfw, source, status, created_at, updated_at) VALUES ('43d5a0f3-2b0f-4527-ab49-73a4c25b2ae0', 'e546ocs8n00ew7p7qnxdu1bq', 'Chatty', 'https://example.org/chatty', 'Unknown', NULL, NULL, NULL, NULL, false, 'Other', 'Ongoing', '2025-07-31 22:13:20.150647+00', '2025-07-31 22:13:20.294463+00');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('71a05cc5-e782-4d9d-8325-f43aad766b25', 'd5jft1o7ekief2nmxfxbf8ob', 'b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02', '43d5a0f3-2b0f-4527-ab49-73a4c25b2ae0', 'Reading', 0, '0.0', 'nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn', '2025-07-31 22:13:20.675257+00', '2025-07-31 22:13:20.135745+00');
-- T8 an address that is none of http or https, one with spaces around it, and one that is no address (story.create checks nothing)
INSERT INTO topaz_story (id, public_id, title, url, author, chapter_count, word_count, description, summary, is_nsfw, source, status, created_at, updated_at) VALUES ('e6d37d5b-3463-43c8-8b6d-a8fc2b6bcc9f', 'wlexcks4bk4g1a6hpk7e7ykr', 'By mail', 'mailto:author@example.org', 'Unknown', NULL, NULL, NULL, NULL, false, 'Other', 'Ongoing', '2025-07-31 22:13:20.104123+00', '2025-07-31 22:13:20.470902+00');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('4fdb1651-07d9-464d-bc8f-2e08d1723481', 'ydkd2k0myhniprd3b5nh4upj', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', 'e6d37d5b-3463-43c8-8b6d-a8fc2b6bcc9f', 'Reading', 0, '0.0', NULL, '2025-07-31 22:13:20.499833+00', '2025-07-31 22:13:20.646285+00');
INSERT INTO topaz_story (id, public_id, title, url, author, chapter_count, word_count, description, summary, is_nsfw, source, status, created_at, updated_at) VALUES ('33e247e5-6a38-4b7b-b649-c1a2260b0593', 'cu7ln8z7a2wiusdwuo3fdv9b', 'Spaced', ' https://example.org/spaced ', 'Unknown', NULL, NULL, NULL, NULL, false, 'Other', 'Ongoing', '2025-07-31 22:13:20.218679+00', '2025-07-31 22:13:20.379787+00');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('31dfedb5-dad8-4fcb-a5bf-35b72a8550ba', 'nk050uv7avjfhz0llnv5pv81', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', '33e247e5-6a38-4b7b-b649-c1a2260b0593', 'Reading', 0, '0.0', NULL, '2025-07-31 22:13:20.822083+00', '2025-07-31 22:13:20.729812+00');
INSERT INTO topaz_story (id, public_id, title, url, author, chapter_count, word_count, description, summary, is_nsfw, source, status, created_at, updated_at) VALUES ('5e9ec6b9-fe16-4192-9867-b72a4f31a62e', 'fph300td829pe2nzw9n2hs2x', 'A file', 'my bookshelf, second row', 'Unknown', NULL, NULL, NULL, NULL, false, 'Other', 'Ongoing', '2025-07-31 22:13:20.616586+00', '2025-07-31 22:13:20.170209+00');
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('76b76a5f-878c-4d6a-bf2e-2ce3487f38bd', 'xbwjz48zi10hkfp4ycbk6guf', 'b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02', '5e9ec6b9-fe16-4192-9867-b72a4f31a62e', 'Reading', 0, '0.0', NULL, '2025-07-31 22:13:20.913330+00', '2025-07-31 22:13:20.453043+00');
-- T10 times that are NULL, and a rating of 0.0, which is also the default for "none"
INSERT INTO topaz_story (id, public_id, title, url, author, chapter_count, word_count, description, summary, is_nsfw, source, status, created_at, updated_at) VALUES ('cf15234a-732c-4b8c-888f-bbdede07ff06', 'gd3ykppw7qqgzwm8npz28fnv', 'Timeless', 'https://example.org/timeless', 'Unknown', NULL, NULL, NULL, NULL, false, 'Other', 'Ongoing', NULL, NULL);
INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, current_chapter, rating, notes, created_at, updated_at) VALUES ('bca7cc80-bfb2-421a-82a8-0ce8b0460634', 'ikzzdbie79lyxwdg0b8srd0i', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', 'cf15234a-732c-4b8c-888f-bbdede07ff06', 'Reading', 0, '0.0', NULL, NULL, NULL);
-- T12 a user without a library, and one whose sign-in was never finished (no account)
INSERT INTO topaz_user (id, public_id, name, email) VALUES ('00000000-0000-4000-8000-00000000000c', 'v7gp5z6e9cvw1eog5x1zfk9v', NULL, 'carol@example.org');
--END
REFRESH MATERIALIZED VIEW library_mv;
REFRESH MATERIALIZED VIEW library_stats_mv;
