//! Export of a whole library as lines, from one snapshot.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, ExprTrait as _, JoinType,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, Query},
};

use super::rows::labels_of;
use crate::{
    library::{
        database::transaction::Transaction,
        entity::{
            label::{Column, names as names_of},
            progress, story, user,
        },
        error::Error,
        handle::Library,
        model::{
            entry_line::EntryLine,
            id::StoryId,
            label::{Label, LabelKind},
            progress::{Progress, Rating},
            story::Story,
        },
    },
    version::UserId,
};

/// An exported library.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// All entries, in order of creation.
    pub entries: Vec<EntryLine>,
    /// Number of labels that no line contains, because no story has them.
    pub left_out: u64,
}

impl Library {
    /// Exports the library of this user; `None` if the user does not exist.
    pub async fn export(&self, user: &UserId) -> Result<Option<Exported>, Error> {
        let owner = user.clone();
        self.snapshot(user, move |tx| {
            Box::pin(async move { exported(tx, &owner).await })
        })
        .await
    }
}

async fn exported(tx: &Transaction, user: &UserId) -> Result<Option<Exported>, Error> {
    let known = user::Entity::find_by_id(user.as_str()).one(tx).await?;
    if known.is_none() {
        return Ok(None);
    }
    let mut left_out = 0;
    for kind in [LabelKind::Tag, LabelKind::Fandom] {
        left_out += unused(tx, user, kind).await?;
    }
    let entries = entries(tx, user).await?;
    Ok(Some(Exported { entries, left_out }))
}

/// Counts the labels of one kind that no story has.
async fn unused(tx: &Transaction, user: &UserId, kind: LabelKind) -> Result<u64, Error> {
    let names = names_of(kind);
    let carried = Query::select()
        .column(names.link_column)
        .from(names.link_table)
        .and_where(Expr::col(Column::UserId).eq(user.as_str()))
        .to_owned();
    let count = Query::select()
        .expr_as(Expr::cust("count(*)"), "labels")
        .from(names.table)
        .and_where(Expr::col(Column::UserId).eq(user.as_str()))
        .and_where(Expr::col(Column::Id).not_in_subquery(carried))
        .to_owned();
    let row = tx.query_one(&count).await?;
    let labels: i64 = row.map_or(Ok(0), |row| row.try_get("", "labels"))?;
    Ok(labels.unsigned_abs())
}

async fn entries(tx: &Transaction, user: &UserId) -> Result<Vec<EntryLine>, Error> {
    // An import generates ascending ids, so ids order the entries of one moment.
    let rows = progress::Entity::find()
        .join(JoinType::InnerJoin, progress::to_story())
        .select_also(story::Entity)
        .filter(progress::Column::UserId.eq(user.as_str()))
        .order_by_asc(progress::Column::CreatedAt)
        .order_by_asc(progress::Column::Id)
        .all(tx)
        .await?;
    let mut tags = labels_of(tx, user, LabelKind::Tag, None).await?;
    let mut fandoms = labels_of(tx, user, LabelKind::Fandom, None).await?;
    let entry = |(progress, story): (Progress, Story)| EntryLine {
        tags: names(&mut tags, story.id),
        fandoms: names(&mut fandoms, story.id),
        ..line(story, progress)
    };
    let rows = rows
        .into_iter()
        .filter_map(|(progress, story)| Some((progress, story?)))
        .map(|(progress, story)| Ok((progress.try_into()?, story.try_into()?)));
    let rows: Vec<_> = rows.collect::<Result<_, Error>>()?;
    Ok(rows.into_iter().map(entry).collect())
}

fn names(labels: &mut HashMap<StoryId, Vec<Label>>, story: StoryId) -> Vec<String> {
    let labels = labels.remove(&story).unwrap_or_default();
    let name = |label: Label| label.name.as_str().to_owned();
    labels.into_iter().map(name).collect()
}

/// Converts an entry without its labels.
fn line(story: Story, progress: Progress) -> EntryLine {
    let (content, state) = (story.content, progress.state);
    EntryLine {
        title: content.title,
        author: Some(content.author),
        url: content.url,
        source: Some(content.source),
        publication_status: Some(content.status),
        description: content.description,
        summary: content.summary,
        chapter_count: content.chapter_count,
        word_count: content.word_count,
        is_nsfw: Some(content.is_nsfw),
        reading_status: Some(state.status),
        current_chapter: Some(state.current_chapter),
        rating: state.rating.map(Rating::stars),
        notes: state.notes,
        ..EntryLine::default()
    }
}
