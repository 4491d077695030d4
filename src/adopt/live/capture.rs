//! The triggers of a live adoption: on the older app's tables, which record what changed, and on ours, which refuse
//! changes by anyone but the follower.
//!
//! After the cut-over, triggers on the older tables refuse changes instead, so that none is lost unnoticed.
#![expect(
    clippy::disallowed_methods,
    reason = "creates triggers and writes no row of a library"
)]

use sea_orm::{ConnectionTrait, DbErr};

use crate::{
    adopt::older_tables::{LIBRARY_TABLES, Labels, OlderTables},
    library::{READ_ONLY, SET_ASIDE},
};

/// Functions run with the rights of their owner, because the older app has none in this schema.
const FUNCTION: &str = "RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, topaz_before, pg_temp";

/// The log, and the functions that write it. A story or a label that no user has is nobody's change.
fn log(labels: Labels) -> String {
    let mut sql = format!(
        "CREATE TABLE {SET_ASIDE}.adoption_change (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id text NOT NULL,
  story_id uuid,
  kind text,
  label_id uuid
);
CREATE FUNCTION {SET_ASIDE}.adoption_log_progress() {FUNCTION} AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    INSERT INTO adoption_change (user_id, story_id) VALUES (OLD.user_id::text, OLD.story_id);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO adoption_change (user_id, story_id) VALUES (NEW.user_id::text, NEW.story_id);
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION {SET_ASIDE}.adoption_log_story() {FUNCTION} AS $$
BEGIN
  INSERT INTO adoption_change (user_id, story_id) SELECT p.user_id::text, p.story_id FROM topaz_progress p
    WHERE p.story_id = OLD.id;
  RETURN NULL;
END $$;
CREATE FUNCTION {SET_ASIDE}.adoption_log_link() {FUNCTION} AS $$
BEGIN
  INSERT INTO adoption_change (user_id, story_id) SELECT p.user_id::text, p.story_id FROM topaz_progress p
    WHERE (TG_OP <> 'INSERT' AND p.story_id = OLD.story_id) OR (TG_OP <> 'DELETE' AND p.story_id = NEW.story_id);
  RETURN NULL;
END $$;
CREATE FUNCTION {SET_ASIDE}.adoption_log_all() {FUNCTION} AS $$
BEGIN
  INSERT INTO adoption_change (user_id, story_id) SELECT user_id::text, story_id FROM topaz_progress;
  RETURN NULL;
END $$;
"
    );
    let label = |name: &str, kind: &str, links: &str, column: &str| {
        format!(
            "CREATE FUNCTION {SET_ASIDE}.adoption_log_{name}() {FUNCTION} AS $$
BEGIN
  INSERT INTO adoption_change (user_id, kind, label_id)
    SELECT DISTINCT p.user_id::text, {kind}, OLD.id FROM {links} l JOIN topaz_progress p ON p.story_id = l.story_id
    WHERE l.{column} = OLD.id;
  RETURN NULL;
END $$;
"
        )
    };
    sql += &match labels {
        Labels::TagsAndFandoms => {
            label("tag", "'tag'", "topaz_story_tag", "tag_id")
                + &label("fandom", "'fandom'", "topaz_story_fandom", "fandom_id")
        }
        Labels::Terms => {
            let kind = "CASE WHEN NEW.kind::text = 'Fandom' THEN 'fandom' ELSE 'tag' END";
            label("term", kind, "topaz_story_taxonomy_term", "term_id")
        }
    };
    sql
}

/// The tables of the older app that are captured, with the function and the events of each.
fn captured(labels: Labels) -> Vec<(&'static str, &'static str, &'static str)> {
    let any = "INSERT OR UPDATE OR DELETE";
    let mut tables = vec![
        ("topaz_progress", "progress", any),
        // A story's progresses are inserted after it, and deleted with it.
        ("topaz_story", "story", "UPDATE"),
    ];
    tables.extend(match labels {
        Labels::TagsAndFandoms => vec![
            ("topaz_story_tag", "link", any),
            ("topaz_story_fandom", "link", any),
            ("topaz_tag", "tag", "UPDATE"),
            ("topaz_fandom", "fandom", "UPDATE"),
        ],
        Labels::Terms => vec![
            ("topaz_story_taxonomy_term", "link", any),
            ("topaz_taxonomy_term", "term", "UPDATE"),
        ],
    });
    tables
}

/// Creates the triggers.
pub(in crate::adopt) async fn begin(
    db: &impl ConnectionTrait,
    labels: Labels,
) -> Result<(), DbErr> {
    let logging = captured(labels).into_iter().map(|(table, function, events)| {
        format!(
            "CREATE TRIGGER adoption_log AFTER {events} ON {SET_ASIDE}.{table} FOR EACH ROW \
               EXECUTE FUNCTION {SET_ASIDE}.adoption_log_{function}();\n\
             CREATE TRIGGER adoption_log_all BEFORE TRUNCATE ON {SET_ASIDE}.{table} FOR EACH STATEMENT \
               EXECUTE FUNCTION {SET_ASIDE}.adoption_log_all();\n"
        )
    });
    let mut sql = log(labels);
    sql.extend(logging);
    sql.push_str(&refusal(
        "adoption_refuse",
        "the library is read-only until the cut-over from the older app",
        // A cascade, from the deletion of a user by the older app, runs within a trigger.
        "pg_trigger_depth() = 1 AND current_setting('library_sync.follows', true) IS DISTINCT FROM 'on'",
    ));
    sql.extend(LIBRARY_TABLES.map(|table| refuse(table, "adoption_refuse")));
    db.execute_unprepared(&sql).await?;
    Ok(())
}

/// Replaces the triggers by others that refuse changes of the older tables.
pub(super) async fn close(db: &impl ConnectionTrait, older: &OlderTables) -> Result<(), DbErr> {
    let mut sql: String = LIBRARY_TABLES
        .map(|table| format!("DROP TRIGGER adoption_refuse ON {table};\n"))
        .concat();
    sql.push_str(&drop_log(older.labels));
    sql.push_str(&refusal(
        "adoption_closed",
        "this library has moved to library-sync",
        "true",
    ));
    let tables = older.tables.iter();
    sql.extend(tables.map(|table| refuse(&format!("{SET_ASIDE}.{table}"), "adoption_closed")));
    db.execute_unprepared(&sql).await?;
    Ok(())
}

/// Drops all triggers with their functions.
pub(in crate::adopt) async fn end(
    db: &impl ConnectionTrait,
    older: &OlderTables,
) -> Result<(), DbErr> {
    let drop =
        |function: &str| format!("DROP FUNCTION IF EXISTS {SET_ASIDE}.{function}() CASCADE;\n");
    let mut sql = drop_log(older.labels);
    sql.extend(["adoption_refuse", "adoption_closed"].map(drop));
    db.execute_unprepared(&sql).await?;
    Ok(())
}

/// Drops the triggers of the log with the log. `CASCADE` drops a function's triggers.
fn drop_log(labels: Labels) -> String {
    let mut functions: Vec<_> = captured(labels)
        .into_iter()
        .map(|(_, function, _)| function)
        .collect();
    functions.push("all");
    functions.sort_unstable();
    functions.dedup();
    let drop = |function: &str| {
        format!("DROP FUNCTION IF EXISTS {SET_ASIDE}.adoption_log_{function}() CASCADE;\n")
    };
    let functions: String = functions.into_iter().map(drop).collect();
    functions + &format!("DROP TABLE IF EXISTS {SET_ASIDE}.adoption_change;\n")
}

/// A function that refuses a change if `condition` holds.
fn refusal(name: &str, message: &str, condition: &str) -> String {
    format!(
        "CREATE FUNCTION {SET_ASIDE}.{name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF {condition} THEN
    RAISE EXCEPTION USING ERRCODE = '{READ_ONLY}', MESSAGE = '{message}';
  END IF;
  RETURN NULL;
END $$;
"
    )
}

fn refuse(table: &str, function: &str) -> String {
    format!(
        "CREATE TRIGGER {function} BEFORE INSERT OR UPDATE OR DELETE ON {table} FOR EACH STATEMENT \
         EXECUTE FUNCTION {SET_ASIDE}.{function}();\n"
    )
}
