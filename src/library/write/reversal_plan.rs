//! The plan of an undo or a restore: what to do with each row, before anything is written.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    conflict::OnConflict,
    reversal::{CREATION, Decision, Known, Moments, Scope, decide},
    writer::LibraryWriter,
};
use crate::{
    library::{
        error::{Clash, Error, Refusal},
        model::{
            kind::Kind,
            label::LabelKind,
            patch::{self, Fields},
        },
        read::past::{
            as_of::AsOf,
            past_row::{PastLabel, PastProgress, PastStory},
            touched::{Writes, touched},
        },
    },
    version::{Head, Version},
};

/// The kinds in the order of [`Touched`].
const KINDS: [Kind; 4] = [Kind::Tag, Kind::Fandom, Kind::Story, Kind::Progress];

/// The ids of rows by kind, in the order of [`KINDS`].
#[derive(Debug, Default)]
pub(super) struct Touched([Vec<Uuid>; 4]);

/// What to do with the rows of one kind.
pub(super) struct KindPlan<P> {
    pub remove: BTreeSet<Uuid>,
    pub create: Vec<P>,
    /// Rows with the fields to set. While the plan is made, a row to replace is here too, in case that it is kept.
    pub set: Vec<(Uuid, Fields)>,
}

impl<P> Default for KindPlan<P> {
    fn default() -> Self {
        Self {
            remove: BTreeSet::new(),
            create: Vec::new(),
            set: Vec::new(),
        }
    }
}

/// What to do with all rows.
#[derive(Default)]
pub(super) struct Plan {
    pub labels: [KindPlan<PastLabel>; 2],
    pub stories: KindPlan<PastStory>,
    pub progresses: KindPlan<PastProgress>,
    /// Stories to create or set whose address another story had too.
    pub shared_addresses: HashSet<Uuid>,
    pub clashes: Vec<(Kind, Clash)>,
}

/// The library that the sender knows.
pub(super) enum KnownLibrary<'t> {
    Present,
    AsOf(AsOf<'t>),
    /// It is of another epoch, above the head, or its history is not kept.
    Unknown,
}

/// The library at the three moments of [`Moments`].
pub(super) struct Views<'t> {
    pub before: AsOf<'t>,
    pub after: KnownLibrary<'t>,
    pub now: AsOf<'t>,
}

impl Views<'_> {
    async fn labels(&self, kind: LabelKind, ids: &[Uuid]) -> Result<Rows<PastLabel>, Error> {
        Ok(Rows {
            before: self.before.labels(kind, Some(ids)).await?,
            after: match &self.after {
                KnownLibrary::Present => KnownRows::Present,
                KnownLibrary::AsOf(after) => KnownRows::AsOf(after.labels(kind, Some(ids)).await?),
                KnownLibrary::Unknown => KnownRows::Unknown,
            },
            now: self.now.labels(kind, Some(ids)).await?,
        })
    }

    async fn stories(&self, ids: &[Uuid]) -> Result<Rows<PastStory>, Error> {
        Ok(Rows {
            before: self.before.stories(ids).await?,
            after: match &self.after {
                KnownLibrary::Present => KnownRows::Present,
                KnownLibrary::AsOf(after) => KnownRows::AsOf(after.stories(ids).await?),
                KnownLibrary::Unknown => KnownRows::Unknown,
            },
            now: self.now.stories(ids).await?,
        })
    }

    async fn progresses(&self, ids: &[Uuid]) -> Result<Rows<PastProgress>, Error> {
        Ok(Rows {
            before: self.before.progresses(ids).await?,
            after: match &self.after {
                KnownLibrary::Present => KnownRows::Present,
                KnownLibrary::AsOf(after) => KnownRows::AsOf(after.progresses(ids).await?),
                KnownLibrary::Unknown => KnownRows::Unknown,
            },
            now: self.now.progresses(ids).await?,
        })
    }
}

impl LibraryWriter {
    /// Prepares to read as of a version of the present epoch.
    ///
    /// # Errors
    /// Refused when it is above the head, or when its history is not kept.
    pub(super) async fn as_of(&self, field: &str, version: Version) -> Result<AsOf<'_>, Error> {
        let head = self.before.version;
        if version > head {
            return Err(Refusal::above_head(field, version, head));
        }
        let past = self
            .past(Head {
                version,
                ..self.before
            })
            .await?;
        past.ok_or_else(|| Refusal::not_kept(field, version))
    }

    /// Prepares to read as of a head. `None` if its history is not kept, or if it is not of this history.
    pub(super) async fn past(&self, head: Head) -> Result<Option<AsOf<'_>>, Error> {
        let is_kept = head.epoch == self.before.epoch
            && head.version >= self.floor
            && head.version <= self.before.version;
        if !is_kept {
            return Ok(None);
        }
        AsOf::find(&self.tx, &self.user, head).await
    }

    /// Returns the rows that the writes created, changed or removed.
    ///
    /// # Errors
    /// Refused when they exceed the limit.
    pub(super) async fn touched(&self, writes: Writes) -> Result<Touched, Error> {
        let (mut all, mut count) = (Touched::default(), 0);
        for (kind, ids) in KINDS.into_iter().zip(&mut all.0) {
            let found = touched(&self.tx, &self.user, kind, writes).await?;
            count += found.len();
            *ids = found.into_iter().collect();
        }
        let most = self.limits.max_restored_rows;
        if most > 0 && count > most {
            return Err(Refusal::limit_reached(
                "version",
                "an undo or a restore",
                most,
            ));
        }
        Ok(all)
    }

    /// Decides about all touched rows.
    pub(super) async fn plan(
        &self,
        touched: &Touched,
        views: &Views<'_>,
        scope: Scope,
        policy: OnConflict,
    ) -> Result<Plan, Error> {
        let Touched([tags, fandoms, stories, progresses]) = touched;
        let mut plan = Plan::default();
        for (n, (kind, ids)) in [(LabelKind::Tag, tags), (LabelKind::Fandom, fandoms)]
            .into_iter()
            .enumerate()
        {
            let (labels, clashes) = views.labels(kind, ids).await?.decide(ids, scope, policy)?;
            plan.labels[n] = labels;
            plan.add(kind.into(), clashes);
        }
        let story_rows = views.stories(stories).await?;
        let progress_rows = views.progresses(progresses).await?;
        let (mut story_plan, clashes) = story_rows.decide(stories, scope, policy)?;
        plan.add(Kind::Story, clashes);
        let (mut progress_plan, clashes) = progress_rows.decide(progresses, scope, policy)?;
        plan.add(Kind::Progress, clashes);
        if policy == OnConflict::Overwrite {
            plan.clashes.clear();
        }
        let lone = self.keep_entries_whole(
            &mut story_plan,
            &mut progress_plan,
            &progress_rows.now,
            &plan.clashes,
        );
        plan.clashes.extend(lone.await?);
        (plan.stories, plan.progresses) = (story_plan, progress_plan);
        if scope == Scope::Write
            && policy != OnConflict::Overwrite
            && let KnownLibrary::AsOf(after) = &views.after
        {
            self.keep_used_labels(&mut plan, after, &views.now).await?;
        }
        plan.shared_addresses = self.shared_addresses(&plan.stories, &views.before).await?;
        Ok(plan)
    }
}

impl Plan {
    fn add(&mut self, kind: Kind, clashes: Vec<Clash>) {
        self.clashes
            .extend(clashes.into_iter().map(|clash| (kind, clash)));
    }
}

fn with_creation(mut fields: Fields, at: OffsetDateTime) -> Result<Fields, Error> {
    let at = serde_json::to_value(at).map_err(Error::fault)?;
    fields.insert(CREATION.to_owned(), at);
    Ok(fields)
}

/// A row of the past whose fields can be compared and brought back.
trait Reversible: Clone {
    fn fields(&self) -> Result<Fields, Error>;

    /// Returns the row with other fields, to replace one of another life. `None` for a label: it is renamed instead, so
    /// that stories keep it.
    fn replacing(self, fields: &Fields) -> Result<Option<Self>, Error>;
}

impl Reversible for PastLabel {
    fn fields(&self) -> Result<Fields, Error> {
        let name = Fields::from_iter([("name".to_owned(), json!(self.name))]);
        with_creation(name, self.created_at)
    }

    fn replacing(self, _: &Fields) -> Result<Option<Self>, Error> {
        Ok(None)
    }
}

impl Reversible for PastStory {
    fn fields(&self) -> Result<Fields, Error> {
        with_creation(patch::fields(&self.state)?, self.created_at)
    }

    fn replacing(self, fields: &Fields) -> Result<Option<Self>, Error> {
        let state = patch::apply(&self.state, fields)?;
        Ok(Some(Self { state, ..self }))
    }
}

impl Reversible for PastProgress {
    fn fields(&self) -> Result<Fields, Error> {
        with_creation(patch::fields(&self.state)?, self.created_at)
    }

    fn replacing(self, fields: &Fields) -> Result<Option<Self>, Error> {
        let state = patch::apply(&self.state, fields)?;
        Ok(Some(Self { state, ..self }))
    }
}

/// The rows that the sender knows, as [`KnownLibrary`].
enum KnownRows<P> {
    Present,
    AsOf(HashMap<Uuid, P>),
    Unknown,
}

/// The rows of one kind at the three moments.
struct Rows<P> {
    before: HashMap<Uuid, P>,
    after: KnownRows<P>,
    now: HashMap<Uuid, P>,
}

impl<P: Reversible> Rows<P> {
    fn known(&self, id: Uuid) -> Result<Known, Error> {
        let rows = match &self.after {
            KnownRows::Present => &self.now,
            KnownRows::AsOf(rows) => rows,
            KnownRows::Unknown => return Ok(Known::Unknown),
        };
        let row = rows.get(&id).map(P::fields).transpose()?;
        Ok(row.map_or(Known::Absent, Known::Present))
    }

    /// Decides about the rows `ids`.
    fn decide(
        &self,
        ids: &[Uuid],
        scope: Scope,
        policy: OnConflict,
    ) -> Result<(KindPlan<P>, Vec<Clash>), Error> {
        let (mut plan, mut all) = (KindPlan::default(), Vec::new());
        for id in ids {
            let moments = Moments {
                before: self.before.get(id).map(P::fields).transpose()?,
                after: self.known(*id)?,
                now: self.now.get(id).map(P::fields).transpose()?,
            };
            let (decision, clashes) = decide(*id, &moments, scope, policy);
            all.extend(clashes);
            match decision {
                Decision::Leave => {}
                Decision::Remove => {
                    plan.remove.insert(*id);
                }
                Decision::Create => plan.create.extend(self.before.get(id).cloned()),
                Decision::Set(mut fields) => {
                    if fields.remove(CREATION).is_some()
                        && let Some(past) = self.before.get(id).cloned()
                    {
                        let mut result = moments.now.unwrap_or_default();
                        result.extend(fields.clone());
                        if let Some(past) = past.replacing(&result)? {
                            plan.remove.insert(*id);
                            plan.create.push(past);
                        }
                    }
                    if !fields.is_empty() {
                        plan.set.push((*id, fields));
                    }
                }
            }
        }
        Ok((plan, all))
    }
}
