//! The plan of an undo or a restore: what to do with each row, before anything is written.

use std::collections::{BTreeSet, HashMap, HashSet};

use sea_orm::{
    ConnectionTrait as _, ExprTrait as _,
    sea_query::{Expr, Query},
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    conflict::OnConflict,
    reversal::{Decision, Moments, Scope, decide},
    writer::LibraryWriter,
};
use crate::{
    library::{
        entity::label::{Column, names},
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
    version::Version,
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

/// The library at the three moments of [`Moments`].
pub(super) struct Views<'t> {
    pub before: AsOf<'t>,
    /// `None` when the sender knows the present library.
    pub after: Option<AsOf<'t>>,
    pub now: AsOf<'t>,
}

impl LibraryWriter {
    /// Prepares to read as of a version of the present epoch.
    ///
    /// # Errors
    /// Refused when its history is not kept.
    pub(super) async fn as_of(&self, field: &str, version: Version) -> Result<AsOf<'_>, Error> {
        if version < self.floor || version > self.before.version {
            return Err(Refusal::not_kept(field, version));
        }
        let head = crate::version::Head {
            version,
            ..self.before
        };
        let past = AsOf::find(&self.tx, &self.user, head).await?;
        past.ok_or_else(|| Refusal::not_kept(field, version))
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
        let Views { before, after, now } = views;
        for (n, (kind, ids)) in [(LabelKind::Tag, tags), (LabelKind::Fandom, fandoms)]
            .into_iter()
            .enumerate()
        {
            let known = match after {
                Some(after) => Some(after.labels(kind, Some(ids)).await?),
                None => None,
            };
            let rows = Rows {
                before: before.labels(kind, Some(ids)).await?,
                after: known,
                now: now.labels(kind, Some(ids)).await?,
            };
            let (labels, clashes) = rows.decide(ids, scope, policy)?;
            plan.labels[n] = labels;
            plan.add(kind.into(), clashes);
        }
        let story_rows = Rows {
            before: before.stories(stories).await?,
            after: match after {
                Some(after) => Some(after.stories(stories).await?),
                None => None,
            },
            now: now.stories(stories).await?,
        };
        let progress_rows = Rows {
            before: before.progresses(progresses).await?,
            after: match after {
                Some(after) => Some(after.progresses(progresses).await?),
                None => None,
            },
            now: now.progresses(progresses).await?,
        };
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
            && let Some(after) = after
        {
            self.keep_used_labels(&mut plan, after).await?;
        }
        plan.shared_addresses = self.shared_addresses(&plan.stories, before).await?;
        Ok(plan)
    }

    /// Keeps a label that was put on stories since. Its removal would take it off them.
    async fn keep_used_labels(&self, plan: &mut Plan, after: &AsOf<'_>) -> Result<(), Error> {
        for (n, kind) in [LabelKind::Tag, LabelKind::Fandom].into_iter().enumerate() {
            for label in plan.labels[n].remove.clone() {
                let carriers = self.carriers_of(kind, label).await?;
                let carriers: Vec<_> = carriers
                    .into_iter()
                    .filter(|story| !plan.stories.remove.contains(story))
                    .collect();
                let known = after.stories(&carriers).await?;
                let gained = carriers.into_iter().find(|story| {
                    !known.get(story).is_some_and(|past| {
                        past.state.label_ids(kind).iter().any(|id| id.0 == label)
                    })
                });
                if let Some(story) = gained {
                    let clash = Clash {
                        row: Some(story),
                        field: kind.ids_field().to_owned(),
                        base: None,
                        yours: Value::Null,
                        theirs: json!([label]),
                        device: None,
                        at: None,
                    };
                    plan.clashes.push((Kind::Story, clash));
                    plan.labels[n].remove.remove(&label);
                }
            }
        }
        Ok(())
    }

    async fn carriers_of(&self, kind: LabelKind, label: Uuid) -> Result<Vec<Uuid>, Error> {
        let names = names(kind);
        let select = Query::select()
            .column(Column::StoryId)
            .from(names.link_table)
            .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
            .and_where(Expr::col(names.link_column).eq(label))
            .to_owned();
        let rows = self.tx.query_all(&select).await?;
        let ids = rows.iter().map(|row| Ok(row.try_get("", "story_id")?));
        ids.collect()
    }
}

impl Plan {
    fn add(&mut self, kind: Kind, clashes: Vec<Clash>) {
        self.clashes
            .extend(clashes.into_iter().map(|clash| (kind, clash)));
    }
}

/// The time of creation, which tells two lives of an id apart. A row of another life is replaced, with the fields that
/// changed since, so that both halves of an entry are.
const CREATION: &str = "createdAt";

fn with_creation(mut fields: Fields, at: OffsetDateTime) -> Result<Fields, Error> {
    let at = serde_json::to_value(at).map_err(Error::fault)?;
    fields.insert(CREATION.to_owned(), at);
    Ok(fields)
}

/// A row of the past whose fields can be compared and brought back.
trait Reversible: Clone {
    fn fields(&self) -> Result<Fields, Error>;

    /// Returns the row with other fields.
    fn with(self, fields: &Fields) -> Result<Self, Error>;
}

impl Reversible for PastLabel {
    fn fields(&self) -> Result<Fields, Error> {
        Ok(Fields::from_iter([("name".to_owned(), json!(self.name))]))
    }

    fn with(self, _: &Fields) -> Result<Self, Error> {
        // Only a row of another life is brought back with other fields, and those of a label do not tell its life.
        Ok(self)
    }
}

impl Reversible for PastStory {
    fn fields(&self) -> Result<Fields, Error> {
        with_creation(patch::fields(&self.state)?, self.created_at)
    }

    fn with(self, fields: &Fields) -> Result<Self, Error> {
        let state = patch::apply(&self.state, fields)?;
        Ok(Self { state, ..self })
    }
}

impl Reversible for PastProgress {
    fn fields(&self) -> Result<Fields, Error> {
        with_creation(patch::fields(&self.state)?, self.created_at)
    }

    fn with(self, fields: &Fields) -> Result<Self, Error> {
        let state = patch::apply(&self.state, fields)?;
        Ok(Self { state, ..self })
    }
}

/// The rows of one kind at the three moments.
struct Rows<P> {
    before: HashMap<Uuid, P>,
    after: Option<HashMap<Uuid, P>>,
    now: HashMap<Uuid, P>,
}

impl<P: Reversible> Rows<P> {
    /// Decides about the rows `ids`.
    fn decide(
        &self,
        ids: &[Uuid],
        scope: Scope,
        policy: OnConflict,
    ) -> Result<(KindPlan<P>, Vec<Clash>), Error> {
        let (mut plan, mut all) = (KindPlan::default(), Vec::new());
        let after = self.after.as_ref().unwrap_or(&self.now);
        for id in ids {
            let moments = Moments {
                before: self.before.get(id).map(P::fields).transpose()?,
                after: after.get(id).map(P::fields).transpose()?,
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
                        plan.remove.insert(*id);
                        plan.create.push(past.with(&result)?);
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
