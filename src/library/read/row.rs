//! Rows of any kind by their ids, and the stories that one version stamped.
//!
//! In the flow: the GraphQL fields `node` and `nodes`, and what payloads show of the rows that a mutation touched.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, ExprTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
    sea_query::{Alias, Expr, Query, UnionType},
};
use uuid::Uuid;

use crate::{
    library::{
        database::any_of::one_of,
        entity::{
            label::{self, Column},
            progress, story, user,
        },
        error::Error,
        handle::Library,
        model::{
            id::{LabelId, StoryId},
            kind::Kind,
            label::{Label, LabelKind},
            progress::Progress,
            story::Story,
        },
    },
    version::{Head, UserId},
};

/// A row of a library.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say what each is")]
pub enum Row {
    Story(Story),
    Progress(Progress),
    Label(LabelKind, Label),
}

/// The tables in which an id is looked for. If a client gave one id to rows of two kinds, the first of these is found.
const TABLES: [(Kind, &str); 4] = [
    (Kind::Story, "topaz_story"),
    (Kind::Progress, "topaz_progress"),
    (Kind::Tag, "topaz_tag"),
    (Kind::Fandom, "topaz_fandom"),
];

impl Library {
    /// Those of `ids` that are rows of this user: one statement finds the kinds, and one more reads the rows of each kind.
    pub async fn rows(
        &self,
        user: &UserId,
        ids: &BTreeSet<Uuid>,
    ) -> Result<HashMap<Uuid, Row>, Error> {
        let kinds = self.kinds(user, ids).await?;
        let of = |kind: Kind| {
            let of_kind = kinds.iter().filter(move |(_, found)| **found == kind);
            of_kind.map(|(id, _)| *id).collect::<BTreeSet<_>>()
        };
        let mut rows = HashMap::new();
        let stories = of(Kind::Story);
        if !stories.is_empty() {
            let found = self.stories(user, stories.into_iter().map(StoryId)).await?;
            rows.extend(found.into_iter().map(|(id, it)| (id.0, Row::Story(it))));
        }
        let progresses = of(Kind::Progress);
        if !progresses.is_empty() {
            let found = self.progresses_with(user, progresses).await?;
            rows.extend(found.into_iter().map(|it| (it.id.0, Row::Progress(it))));
        }
        for kind in [LabelKind::Tag, LabelKind::Fandom] {
            let labels = of(kind.into()).into_iter().map(LabelId).collect();
            let found = self.labels_with(user, kind, &labels).await?;
            rows.extend(found.into_iter().map(|it| (it.id.0, Row::Label(kind, it))));
        }
        Ok(rows)
    }

    /// What each of these ids is, in one statement.
    async fn kinds(
        &self,
        user: &UserId,
        ids: &BTreeSet<Uuid>,
    ) -> Result<HashMap<Uuid, Kind>, Error> {
        let in_table = |(kind, table): (Kind, &'static str)| {
            Query::select()
                .expr_as(Expr::val(kind.name()), "kind")
                .expr_as(Expr::col(Column::Id), "id")
                .from(Alias::new(table))
                .and_where(Expr::col(Column::UserId).eq(user.as_str()))
                .and_where(one_of(
                    self.db.backend(),
                    Expr::col(Column::Id),
                    ids.iter().copied(),
                ))
                .to_owned()
        };
        let [first, rest @ ..] = TABLES.map(in_table);
        let select = rest.into_iter().fold(first, |mut select, other| {
            select.union(UnionType::All, other).to_owned()
        });
        let reader = self.db.reader(user).await?;
        let mut kinds = HashMap::new();
        for row in self.db.in_time(reader.query_all(&select)).await? {
            let name: String = row.try_get("", "kind")?;
            let kind = TABLES.into_iter().find(|(kind, _)| kind.name() == name);
            let (kind, _) = kind.ok_or_else(|| Error::fault("a kind that is not one of ours"))?;
            let found = kinds.entry(row.try_get("", "id")?).or_insert(kind);
            *found = Ord::min(*found, kind);
        }
        Ok(kinds)
    }

    async fn progresses_with(
        &self,
        user: &UserId,
        ids: BTreeSet<Uuid>,
    ) -> Result<Vec<Progress>, Error> {
        let reader = self.db.reader(user).await?;
        let rows = progress::Entity::find()
            .filter(progress::Column::UserId.eq(user.as_str()))
            .filter(one_of(self.db.backend(), progress::Column::Id, ids))
            .all(&reader);
        let rows = self.db.in_time(rows).await?;
        let read = |row| Progress::try_from(row).map_err(Error::from);
        rows.into_iter().map(read).collect()
    }

    /// Those of `ids` that are labels of one kind of this user, by name. No statement for no ids.
    pub async fn labels_with(
        &self,
        user: &UserId,
        kind: LabelKind,
        ids: &BTreeSet<LabelId>,
    ) -> Result<Vec<Label>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids = ids.iter().map(|id| id.0);
        let mut select = label::select_by_name(user, kind);
        select.and_where(one_of(self.db.backend(), Expr::col(Column::Id), ids));
        let reader = self.db.reader(user).await?;
        let rows = self.db.in_time(reader.query_all(&select)).await?;
        Ok(label::labels_in(&rows)?)
    }

    /// The first so many stories of this user, by id, whose newest change is that of `head`. None in another epoch.
    pub async fn stories_stamped(
        &self,
        user: &UserId,
        head: Head,
        first: u32,
    ) -> Result<Vec<Story>, Error> {
        let in_epoch = Query::select()
            .expr(Expr::val(1))
            .from(user::Entity)
            .and_where(user::Column::Subject.eq(user.as_str()))
            .and_where(user::Column::LibraryEpoch.eq(head.epoch.number()))
            .to_owned();
        let reader = self.db.reader(user).await?;
        let rows = story::find()
            .filter(story::Column::UserId.eq(user.as_str()))
            .filter(story::Column::Stamp.eq(head.version.number()))
            .filter(Expr::exists(in_epoch))
            .order_by_asc(story::Column::Id)
            .limit(u64::from(first))
            .all(&reader);
        let rows = self.db.in_time(rows).await?;
        let read = |row| Story::try_from(row).map_err(Error::from);
        rows.into_iter().map(read).collect()
    }
}
