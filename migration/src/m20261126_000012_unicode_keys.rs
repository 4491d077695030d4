//! Normalizes text keys to Unicode NFC, so that the composed and decomposed spellings of a name are equal.
//!
//! `name_key`, `title_key`, `author_key` and `search_key` were only folded to lower case. Texts and versions do not
//! change, so devices do not need to load.
//!
//! Two labels of one user can now have the same key. Both keep their names. The label that already has the key, or else
//! the first by id, gets it. The other gets the key, a line break and a number, until it is renamed.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, QueryResult, Statement, Value, prelude::Uuid},
};
use unicode_normalization::UnicodeNormalization as _;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        refold(manager, |text| {
            let composed: String = text.nfc().collect();
            lower(&composed).nfc().collect()
        })
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        refold(manager, lower).await
    }
}

/// Number of rows in one SELECT.
const BATCH: usize = 500;

type Fold = fn(&str) -> String;

/// Folds a text to lower case, letter by letter, with one form of sigma.
fn lower(text: &str) -> String {
    let sigma = |letter| if letter == 'ς' { 'σ' } else { letter };
    let letters = text.chars().flat_map(char::to_lowercase);
    letters.map(sigma).collect()
}

async fn refold(manager: &SchemaManager<'_>, fold: Fold) -> Result<(), DbErr> {
    let db = manager.get_connection();
    for table in ["topaz_tag", "topaz_fandom"] {
        let mut walk = Walk::of(table, "name, name_key", "name");
        while let Some(rows) = walk.next(db).await? {
            for row in rows {
                refold_label(db, table, &row, fold).await?;
            }
        }
    }
    let texts = "title || author || coalesce(description, '')";
    let mut walk = Walk::of(
        "topaz_story",
        "title, author, description, search_key",
        texts,
    );
    while let Some(rows) = walk.next(db).await? {
        for row in rows {
            refold_story(db, &row, fold).await?;
        }
    }
    let mut walk = Walk::of("topaz_progress", "notes, search_key", "coalesce(notes, '')");
    while let Some(rows) = walk.next(db).await? {
        for row in rows {
            let key = fold(&row.try_get::<String>("", "notes")?);
            if key != row.try_get::<String>("", "search_key")? {
                let set =
                    "UPDATE topaz_progress SET search_key = $3 WHERE user_id = $1 AND id = $2";
                update(db, &row, set, [key.into()]).await?;
            }
        }
    }
    Ok(())
}

async fn refold_label(
    db: &impl ConnectionTrait,
    table: &str,
    row: &QueryResult,
    fold: Fold,
) -> Result<(), DbErr> {
    let key = fold(&row.try_get::<String>("", "name")?);
    let present: String = row.try_get("", "name_key")?;
    if present.split('\n').next() == Some(key.as_str()) {
        return Ok(());
    }
    let holder = format!("SELECT id FROM {table} WHERE user_id = $1 AND name_key = $2");
    let mut free = key.clone();
    for number in 2.. {
        let values = [
            row.try_get::<String>("", "user_id")?.into(),
            free.clone().into(),
        ];
        let select = Statement::from_sql_and_values(db.get_database_backend(), &holder, values);
        if db.query_one_raw(select).await?.is_none() {
            break;
        }
        free = format!("{key}\n{number}");
    }
    let set = format!("UPDATE {table} SET name_key = $3 WHERE user_id = $1 AND id = $2");
    update(db, row, &set, [free.into()]).await
}

async fn refold_story(
    db: &impl ConnectionTrait,
    row: &QueryResult,
    fold: Fold,
) -> Result<(), DbErr> {
    let (title, author) = (
        fold(&row.try_get::<String>("", "title")?),
        fold(&row.try_get::<String>("", "author")?),
    );
    let description: Option<String> = row.try_get("", "description")?;
    let description = description.as_deref().map(fold).unwrap_or_default();
    let search = format!("{title}\n{author}\n{description}");
    if search == row.try_get::<String>("", "search_key")? {
        return Ok(());
    }
    let set = "UPDATE topaz_story SET title_key = $3, author_key = $4, search_key = $5 WHERE user_id = $1 AND id = $2";
    update(db, row, set, [title.into(), author.into(), search.into()]).await
}

async fn update<const N: usize>(
    db: &impl ConnectionTrait,
    row: &QueryResult,
    sql: &str,
    values: [Value; N],
) -> Result<(), DbErr> {
    let key: [Value; 2] = [
        row.try_get::<String>("", "user_id")?.into(),
        row.try_get::<Uuid>("", "id")?.into(),
    ];
    let values = key.into_iter().chain(values);
    let update = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    db.execute_raw(update).await?;
    Ok(())
}

/// Iterates, in key order, over the rows with non-ASCII text. Only their keys can change.
struct Walk {
    sql: String,
    after: (String, Uuid),
}

impl Walk {
    fn of(table: &str, columns: &str, texts: &str) -> Self {
        let sql = format!(
            "SELECT user_id, id, {columns} FROM {table} \
             WHERE (user_id, id) > ($1, $2) AND octet_length({texts}) <> length({texts}) \
             ORDER BY user_id, id LIMIT {BATCH}"
        );
        Self {
            sql,
            after: (String::new(), Uuid::nil()),
        }
    }

    async fn next(&mut self, db: &impl ConnectionTrait) -> Result<Option<Vec<QueryResult>>, DbErr> {
        let (user, id) = self.after.clone();
        let values = [user.into(), id.into()];
        let select = Statement::from_sql_and_values(db.get_database_backend(), &self.sql, values);
        let rows = db.query_all_raw(select).await?;
        let Some(last) = rows.last() else {
            return Ok(None);
        };
        self.after = (last.try_get("", "user_id")?, last.try_get("", "id")?);
        Ok(Some(rows))
    }
}
