//! `topaz_progress`.

use sea_orm::{ActiveValue::Set, entity::prelude::*};

use super::{
    columns::{find_without, known_name, millis},
    story,
};
use crate::{
    library::model::{
        id::{ProgressId, StoryId},
        progress::{Progress, ProgressState, ProgressStatus, Rating},
        text::fold,
    },
    version::{UserId, Version},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "topaz_progress")]
pub(in crate::library) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub stamp: i32,
    pub created_stamp: i32,
    pub story_id: Uuid,
    pub status: String,
    pub current_chapter: i32,
    pub rating: Option<i16>,
    pub notes: Option<String>,
    pub search_key: String,
    pub created_at: TimeUnixTimestampMillis,
    pub updated_at: TimeUnixTimestampMillis,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::library) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Selects progresses without their search keys, which are as long as the texts.
pub(in crate::library) fn find() -> Select<Entity> {
    find_without::<Entity>(&[Column::SearchKey])
}

impl TryFrom<Model> for Progress {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            id: ProgressId(row.id),
            story_id: StoryId(row.story_id),
            stamp: Version::new(row.stamp),
            created_stamp: Version::new(row.created_stamp),
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            state: ProgressState {
                status: known_name(&row.status, ProgressStatus::default()),
                current_chapter: row.current_chapter,
                rating: row.rating.map(Rating::from_tenths),
                notes: row.notes,
            },
        })
    }
}

/// The relation from a progress to its story.
pub(in crate::library) fn to_story() -> RelationDef {
    Entity::belongs_to(story::Entity)
        .from((Column::UserId, Column::StoryId))
        .to((story::Column::UserId, story::Column::Id))
        .into()
}

/// Returns the complete row of `progress`.
pub(in crate::library) fn row(user: &UserId, progress: &Progress) -> ActiveModel {
    let state = progress.state.clone();
    ActiveModel {
        user_id: Set(user.as_str().to_owned()),
        id: Set(progress.id.0),
        stamp: Set(progress.stamp.number()),
        created_stamp: Set(progress.created_stamp.number()),
        story_id: Set(progress.story_id.0),
        status: Set(<&str>::from(state.status).to_owned()),
        current_chapter: Set(state.current_chapter),
        rating: Set(state.rating.map(Rating::tenths)),
        search_key: Set(state.notes.as_deref().map(fold).unwrap_or_default()),
        notes: Set(state.notes),
        created_at: Set(millis(progress.created_at)),
        updated_at: Set(millis(progress.updated_at)),
    }
}
