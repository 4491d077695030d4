//! Import of many entries, with a number of statements independent of their number.

use std::collections::{BTreeMap, BTreeSet, HashMap, hash_map};

use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, ExprTrait as _, JoinType,
    QueryFilter as _, QuerySelect as _,
    sea_query::{Expr, Query},
};
use uuid::Uuid;

use super::writer::{LibraryWriter, ROWS_A_STATEMENT};
use crate::library::{
    database::any_of::one_of,
    entity::{
        label::{Column, names},
        progress, story,
    },
    error::Error,
    model::{
        entry_line::{CheckedLines, ImportOutcome, ImportOutcomes, SoundLine},
        id::{self, LabelId, ProgressId, StoryId},
        kind::Kind,
        label::{LabelKind, LabelName},
        progress::Progress,
        story::Story,
        story_url,
    },
};

/// A valid line with its new ids.
struct NewLine {
    story_id: StoryId,
    progress_id: ProgressId,
    line: SoundLine,
}

impl LibraryWriter {
    /// Adds an entry for each valid line with a new url, and creates missing labels. Returns the outcomes in the order of
    /// the lines. If no entry is added, nothing changes.
    ///
    /// # Errors
    /// Refused when the library would exceed a limit.
    pub async fn import(
        &mut self,
        CheckedLines(lines): CheckedLines,
    ) -> Result<ImportOutcomes, Error> {
        let urls = lines
            .iter()
            .flatten()
            .map(|line| story_url::key(&line.story.url));
        let urls: Vec<_> = urls.collect();
        let mut known = self.entries_at(&urls).await?;
        let mut new = Vec::new();
        let mut ids = id::series();
        self.grow_by_import();
        let mut outcomes = Vec::with_capacity(lines.len());
        for line in lines {
            outcomes.push(match line {
                Err(Error::Invalid { field, message }) => ImportOutcome::Invalid {
                    field: field.to_owned(),
                    message,
                },
                Err(error) => return Err(error),
                Ok(line) => match known.entry(story_url::key(&line.story.url)) {
                    hash_map::Entry::Occupied(known) => {
                        let (story, progress) = *known.get();
                        ImportOutcome::Duplicate(story, progress)
                    }
                    hash_map::Entry::Vacant(unknown) => {
                        let (story_id, progress_id) = (StoryId(ids()), ProgressId(ids()));
                        unknown.insert((story_id, Some(progress_id)));
                        new.push(NewLine {
                            story_id,
                            progress_id,
                            line,
                        });
                        ImportOutcome::Imported(story_id, progress_id)
                    }
                },
            });
        }
        if !new.is_empty() {
            self.insert_lines(new).await?;
        }
        Ok(ImportOutcomes(outcomes))
    }

    /// Finds the entries with these urls.
    pub(super) async fn entries_at(
        &self,
        urls: &[String],
    ) -> Result<HashMap<String, (StoryId, Option<ProgressId>)>, Error> {
        let mut entries = HashMap::with_capacity(urls.len());
        for some in urls.chunks(ROWS_A_STATEMENT) {
            let found: Vec<(String, Uuid, Option<Uuid>)> = story::Entity::find()
                .select_only()
                .columns([story::Column::Url, story::Column::Id])
                .column(progress::Column::Id)
                .join(JoinType::LeftJoin, progress::to_story().rev())
                .filter(story::Column::UserId.eq(self.user.as_str()))
                .filter(one_of(
                    self.tx.get_database_backend(),
                    story::Column::Url,
                    some.iter().map(String::as_str),
                ))
                .into_tuple()
                .all(&self.tx)
                .await?;
            entries.extend(
                found.into_iter().map(|(url, story, progress)| {
                    (url, (StoryId(story), progress.map(ProgressId)))
                }),
            );
        }
        Ok(entries)
    }

    async fn insert_lines(&mut self, new: Vec<NewLine>) -> Result<(), Error> {
        let mut links = [
            (LabelKind::Tag, Vec::new()),
            (LabelKind::Fandom, Vec::new()),
        ];
        for (kind, links) in &mut links {
            *links = self.label_links(*kind, &new).await?;
        }
        let (stories, progresses): (Vec<_>, Vec<_>) =
            new.into_iter().map(|new| self.rows(new)).unzip();
        for some in stories.chunks(ROWS_A_STATEMENT) {
            story::Entity::insert_many(some.to_vec())
                .exec_without_returning(&self.tx)
                .await?;
        }
        for some in progresses.chunks(ROWS_A_STATEMENT) {
            progress::Entity::insert_many(some.to_vec())
                .exec_without_returning(&self.tx)
                .await?;
        }
        for (kind, links) in links {
            self.insert_links(kind, &links).await?;
        }
        Ok(())
    }

    fn rows(&mut self, new: NewLine) -> (story::ActiveModel, progress::ActiveModel) {
        let stamp = self.stamp(Kind::Story);
        let story = Story {
            id: new.story_id,
            stamp,
            created_stamp: stamp,
            created_at: self.now,
            updated_at: self.now,
            content: new.line.story,
        };
        let progress = Progress {
            id: new.progress_id,
            story_id: new.story_id,
            stamp: self.stamp(Kind::Progress),
            created_stamp: stamp,
            created_at: self.now,
            updated_at: self.now,
            state: new.line.progress,
        };
        self.grow(story.usage());
        self.grow(progress.state.usage());
        (
            story::row(&self.user, &story),
            progress::row(&self.user, &progress),
        )
    }

    /// Returns the links from the lines' stories to their labels of one kind. Creates missing labels.
    async fn label_links(
        &mut self,
        kind: LabelKind,
        lines: &[NewLine],
    ) -> Result<Vec<(StoryId, LabelId)>, Error> {
        let mut wanted = BTreeMap::<String, &LabelName>::new();
        let mut labelled = BTreeSet::new();
        for new in lines {
            let labels = new.line.labels.iter().filter(|(of, _)| *of == kind);
            for name in labels.flat_map(|(_, names)| names) {
                wanted.entry(name.key()).or_insert(name);
                labelled.insert((new.story_id, name.key()));
            }
        }
        let mut ids = self.labels_named(kind, &wanted).await?;
        let mut missing = Vec::new();
        for (key, name) in wanted {
            if let hash_map::Entry::Vacant(unknown) = ids.entry(key) {
                let label = self.new_label(kind, LabelId::fresh(), name.clone());
                unknown.insert(label.id);
                missing.push(label);
            }
        }
        self.insert_labels(kind, &missing).await?;
        Ok(labelled
            .into_iter()
            .filter_map(|(story, key)| Some((story, *ids.get(&key)?)))
            .collect())
    }

    /// Finds the labels with these names, by name key.
    async fn labels_named(
        &self,
        kind: LabelKind,
        wanted: &BTreeMap<String, &LabelName>,
    ) -> Result<HashMap<String, LabelId>, Error> {
        let keys: Vec<_> = wanted.keys().map(String::as_str).collect();
        let mut ids = HashMap::with_capacity(keys.len());
        for some in keys.chunks(ROWS_A_STATEMENT) {
            let select = Query::select()
                .columns([Column::NameKey, Column::Id])
                .from(names(kind).table)
                .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
                .and_where(one_of(
                    self.tx.get_database_backend(),
                    Expr::col(Column::NameKey),
                    some.iter().copied(),
                ))
                .to_owned();
            for row in self.tx.query_all(&select).await? {
                ids.insert(
                    row.try_get("", "name_key")?,
                    LabelId(row.try_get("", "id")?),
                );
            }
        }
        Ok(ids)
    }
}
