//! `topaz_usage`: how much an entry is used, as a score that decays.
//!
//! `score` is the time, in milliseconds, of the single use that weighs as much as all uses, where a use at time t weighs
//! 2^(t / 14 days). So an old use counts less than a new one, and no row is rewritten as time passes. `used_at` is the time
//! of the last counted use.

super::plain_sql! {
    up: r"
CREATE TABLE topaz_usage (
  user_id text NOT NULL,
  progress_id uuid NOT NULL,
  score bigint NOT NULL,
  used_at bigint NOT NULL,
  PRIMARY KEY (user_id, progress_id),
  FOREIGN KEY (user_id, progress_id) REFERENCES topaz_progress (user_id, id) ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE INDEX topaz_usage_score ON topaz_usage (user_id, score, progress_id);
CREATE INDEX topaz_usage_used_at ON topaz_usage (used_at);
",
    down: r"
DROP TABLE topaz_usage;
",
}
