//! Objects by id (Relay global object identification).

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use async_graphql::{ID, Interface};
use uuid::Uuid;

use super::{Fandom, Library, Progress, Story, Tag, id::uuid};
use crate::{
    graphql::{batch::Batch, context::Caller},
    library::{Error, LabelKind, Row},
};

/// An object that `node` finds by its id.
#[derive(Interface)]
#[graphql(field(
    name = "id",
    ty = "ID",
    desc = "Opaque id of the object, unique among all objects of the API."
))]
pub(in crate::graphql) enum Node {
    Story(Box<Story>),
    Progress(Box<Progress>),
    Tag(Tag),
    Fandom(Fandom),
    Library(Library),
}

impl Node {
    /// The objects of these ids, in their order; none for what is not the caller's.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `field` when one is not an id or there are more than a page may hold.
    pub async fn find(
        caller: &Caller,
        field: &'static str,
        ids: &[ID],
    ) -> Result<Vec<Option<Self>>, Error> {
        let most = caller.limits.max_page;
        if ids.len() > most as usize {
            return Err(Error::invalid(field, format!("at most {most} of them")));
        }
        let library = Library::id_of(caller);
        let read = |id: &ID| {
            if id.as_str() == library {
                Ok(None)
            } else {
                uuid(field, id).map(Some)
            }
        };
        let uuids: Vec<Option<Uuid>> = ids.iter().map(read).collect::<Result<_, _>>()?;
        let wanted: BTreeSet<_> = uuids.iter().copied().flatten().collect();
        let rows = if wanted.is_empty() {
            HashMap::new()
        } else {
            caller.library.rows(&caller.viewer.user, &wanted).await?
        };
        let batch = Arc::new(batch(rows.values()));
        let node = |id: Option<Uuid>| match id {
            None => Some(Self::Library(Library::default())),
            Some(id) => rows.get(&id).cloned().map(|row| Self::of(row, &batch)),
        };
        Ok(uuids.into_iter().map(node).collect())
    }

    fn of(row: Row, batch: &Arc<Batch>) -> Self {
        match row {
            Row::Story(story) => Self::Story(Box::new(Story::new(Arc::new(story), batch))),
            Row::Progress(progress) => Self::Progress(Box::new(Progress::new(progress, batch))),
            Row::Label(LabelKind::Tag, label) => Self::Tag(Tag::new(Arc::new(label), batch)),
            Row::Label(LabelKind::Fandom, label) => {
                Self::Fandom(Fandom::new(Arc::new(label), batch))
            }
        }
    }
}

/// The stories and labels that rows are about.
fn batch<'r>(rows: impl Iterator<Item = &'r Row> + Clone) -> Batch {
    let stories = rows.clone().filter_map(|row| match row {
        Row::Story(story) => Some(story.id),
        Row::Progress(progress) => Some(progress.story_id),
        Row::Label(..) => None,
    });
    rows.fold(Batch::of_stories(stories), |batch, row| match row {
        Row::Label(kind, label) => batch.with_labels(*kind, [label]),
        Row::Story(_) | Row::Progress(_) => batch,
    })
}
