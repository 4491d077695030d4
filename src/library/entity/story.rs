//! `topaz_story`.

use sea_orm::{ActiveValue::Set, entity::prelude::*};

use super::columns::{find_without, known_name, millis};
use crate::{
    library::model::{
        id::StoryId,
        source::Source,
        story::{Story, StoryContent, StoryStatus},
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
    pub created_stamp: i32,
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
            created_stamp: Version::new(row.created_stamp),
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            content: StoryContent {
                source: known_name(&row.source, Source::Other),
                status: known_name(&row.status, StoryStatus::Unknown),
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

/// The columns by which stories are compared, sorted and searched.
pub(in crate::library) struct Keys {
    /// The address in normalised form.
    pub url: String,
    pub title: String,
    pub author: String,
    pub search: String,
}

impl Keys {
    pub fn of(content: &StoryContent) -> Self {
        let (title, author) = (fold(&content.title), fold(&content.author));
        let description = content.description.as_deref().map(fold).unwrap_or_default();
        Self {
            url: story_url::key(&content.url),
            // A search term contains no line break, so a match never spans two texts.
            search: format!("{title}\n{author}\n{description}"),
            title,
            author,
        }
    }
}

/// Returns the columns `url` and `url_typed` of a story whose address another story has: both with a fragment. `url` is
/// then not in normalised form, so that it differs from the other's.
pub(in crate::library) fn addressed(
    key: &str,
    typed: &str,
    fragment: &str,
) -> (String, Option<String>) {
    (
        format!("{key}{fragment}"),
        Some(format!("{typed}{fragment}")),
    )
}

/// Returns the complete row of `story`.
pub(in crate::library) fn row(user: &UserId, story: &Story) -> ActiveModel {
    let content = story.content.clone();
    let keys = Keys::of(&content);
    let url = keys.url;
    ActiveModel {
        user_id: Set(user.as_str().to_owned()),
        id: Set(story.id.0),
        stamp: Set(story.stamp.number()),
        created_stamp: Set(story.created_stamp.number()),
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
        title_key: Set(keys.title),
        author_key: Set(keys.author),
        search_key: Set(keys.search),
        created_at: Set(millis(story.created_at)),
        updated_at: Set(millis(story.updated_at)),
    }
}
