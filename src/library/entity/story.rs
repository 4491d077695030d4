//! `topaz_story`.

use sea_orm::{ActiveValue::Set, entity::prelude::*};

use super::columns::{find_without, millis, parse_name};
use crate::{
    library::model::{
        id::StoryId,
        story::{Story, StoryContent},
        story_url,
        text::fold,
    },
    version::{UserId, Version},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "topaz_story")]
pub(in crate::library) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub stamp: i32,
    pub title: String,
    pub author: String,
    /// In normalised form.
    pub url: String,
    /// As typed, if that differs.
    pub url_typed: Option<String>,
    pub source: String,
    pub status: String,
    pub description: Option<String>,
    pub summary: Option<String>,
    pub chapter_count: Option<i32>,
    pub word_count: Option<i32>,
    pub is_nsfw: bool,
    pub title_key: String,
    pub author_key: String,
    pub search_key: String,
    pub created_at: TimeUnixTimestampMillis,
    pub updated_at: TimeUnixTimestampMillis,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::library) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Selects stories without their search and sort keys, which are as long as the texts.
pub(in crate::library) fn find() -> Select<Entity> {
    find_without::<Entity>(&[Column::TitleKey, Column::AuthorKey, Column::SearchKey])
}

impl TryFrom<Model> for Story {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            id: StoryId(row.id),
            stamp: Version::new(row.stamp),
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            content: StoryContent {
                source: parse_name("topaz_story.source", &row.source)?,
                status: parse_name("topaz_story.status", &row.status)?,
                title: row.title,
                author: row.author,
                url: row.url_typed.unwrap_or(row.url),
                description: row.description,
                summary: row.summary,
                chapter_count: row.chapter_count,
                word_count: row.word_count,
                is_nsfw: row.is_nsfw,
            },
        })
    }
}

/// Returns the complete row of `story`.
pub(in crate::library) fn row(user: &UserId, story: &Story) -> ActiveModel {
    let content = story.content.clone();
    let url = story_url::key(&content.url);
    let (title_key, author_key) = (fold(&content.title), fold(&content.author));
    let description_key = content.description.as_deref().map(fold).unwrap_or_default();
    // A search term contains no line break, so a match never spans two texts.
    let search_key = format!("{title_key}\n{author_key}\n{description_key}");
    ActiveModel {
        user_id: Set(user.as_str().to_owned()),
        id: Set(story.id.0),
        stamp: Set(story.stamp.number()),
        title: Set(content.title),
        author: Set(content.author),
        url_typed: Set((url != content.url).then_some(content.url)),
        url: Set(url),
        source: Set(<&str>::from(content.source).to_owned()),
        status: Set(<&str>::from(content.status).to_owned()),
        description: Set(content.description),
        summary: Set(content.summary),
        chapter_count: Set(content.chapter_count),
        word_count: Set(content.word_count),
        is_nsfw: Set(content.is_nsfw),
        title_key: Set(title_key),
        author_key: Set(author_key),
        search_key: Set(search_key),
        created_at: Set(millis(story.created_at)),
        updated_at: Set(millis(story.updated_at)),
    }
}
