//! The query root.

use async_graphql::{Context, ID, Lookahead, Object};

use super::{
    context::CallerExt as _,
    types::{
        Fandom, HistoryPage, Library, LibraryChanges, LibraryKind, List, Node, Page, PastLibrary,
        Progress, ProgressConnection, ProgressFilter, ProgressOrder, Story, Tag, Viewer,
        delta_cursor,
        id::{progress_id, story_id},
        page_size,
    },
};
use crate::{
    library::{
        Error, HistoryFilter, Label, LabelKind, Listed, PageLimit, PageRequest, Related, Search,
        Since,
    },
    version::Version,
};

/// Number of entries in a page where `first` is absent or null.
const PAGE: i32 = 20;

/// Number of changes in a page where `first` is absent or null.
const CHANGES: i32 = 500;

/// The query root.
pub(super) struct Query;

/// Reads of the library of the signed-in user.
#[Object]
impl Query {
    /// Version of the library: from 1, and 1 more with each change. A device whose copy has a lower version is behind.
    async fn library_version(&self, ctx: &Context<'_>) -> Result<i32, Error> {
        Ok(ctx.caller().present().await?.version.number())
    }

    /// Public key of the server (VAPID) in base64url: the `applicationServerKey` of push subscriptions. Null while Web Push
    /// is off.
    async fn push_public_key(&self, ctx: &Context<'_>) -> Option<String> {
        let push = ctx.caller().push.as_ref();
        push.map(|push| push.public_key().to_owned())
    }

    /// Signed-in user.
    async fn viewer(&self) -> Viewer {
        Viewer
    }

    /// Progress of this id. Null means that the library has none.
    async fn progress(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "UUID of the progress.")] id: ID,
    ) -> Option<Result<Progress, Error>> {
        let caller = ctx.caller();
        let found = async {
            caller
                .library
                .find_progress(&caller.viewer.user, progress_id("id", &id)?)
                .await
        };
        found
            .await
            .transpose()
            .map(|progress| progress.map(Progress::from))
    }

    /// Story of this id. Null means that the library has none.
    async fn story(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "UUID of the story.")] id: ID,
    ) -> Option<Result<Story, Error>> {
        let caller = ctx.caller();
        let found = async {
            let id = story_id("id", &id)?;
            Ok(caller
                .library
                .stories(&caller.viewer.user, [id])
                .await?
                .remove(&id))
        };
        found.await.transpose().map(|story| story.map(Story::from))
    }

    /// Object of this id, of any type. Null means that the user has none.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Id of the object: a UUID, or the id of the library.")] id: ID,
    ) -> Option<Result<Node, Error>> {
        let found = Node::find(ctx.caller(), "id", &[id]).await;
        found.map(|mut found| found.pop().flatten()).transpose()
    }

    /// Objects of these ids, of any type, in the same order. An element is null if the user has no object of the id.
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Ids of objects, at most 100 unless the server is configured otherwise.")]
        ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>, Error> {
        Node::find(ctx.caller(), "ids", &ids).await
    }

    /// Page of the entries of the library, by keyset pagination. Creating, changing or deleting an entry between two
    /// pages does not make other entries repeat or disappear.
    async fn progresses(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            default_with = "Some(PAGE)",
            desc = "Number of entries, from 0 to 100 unless the server is configured otherwise. Null means 20."
        )]
        first: Option<i32>,
        #[graphql(
            desc = "Cursor of an edge, or an `endCursor`, of the same order: the page begins after it. Null means from the start."
        )]
        after: Option<String>,
        #[graphql(desc = "Conditions that entries must meet. Null means all entries.")]
        filter: Option<ProgressFilter>,
        #[graphql(desc = "Order of the entries. Null means STAMP, DESC: newest change first.")]
        order_by: Option<ProgressOrder>,
    ) -> Result<ProgressConnection, Error> {
        let caller = ctx.caller();
        let page = Page::new(
            first.unwrap_or(PAGE),
            after.as_deref(),
            caller.limits.max_page,
        )?;
        let filter = filter.unwrap_or_default().parse()?;
        caller.allowance.search(&filter.search)?;
        let order = order_by.map(Into::into).unwrap_or_default();
        let list = ctx.look_ahead();
        let shows_stories = |progress: Lookahead<'_>| progress.field("story").exists();
        let with_stories =
            shows_stories(list.field("edges").field("node")) || shows_stories(list.field("nodes"));
        let page_to_read = page.and_one_more();
        let found = caller
            .library
            .progresses(
                &caller.viewer.user,
                &filter,
                order,
                page_to_read,
                with_stories,
            )
            .await?;
        caller
            .allowance
            .read(found.iter().map(Listed::bytes).sum())
            .await;
        Ok(page.connection(found, filter))
    }

    /// Progresses of the entries that the reader most likely opens next, the likeliest first: worth loading before they are
    /// opened. Each `opened` and each `updateProgress`, on any device, is a use of an entry. A use loses half of its weight in
    /// 14 days. Entries without a use follow, the last changed first.
    async fn warm(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            default_with = "Some(PAGE)",
            desc = "Number of progresses, from 0 to 100 unless the server is configured otherwise. Null means 20."
        )]
        first: Option<i32>,
    ) -> Result<List<Progress>, Error> {
        let caller = ctx.caller();
        let first = page_size(first.unwrap_or(PAGE), caller.limits.max_page)?;
        let warm = caller.library.warm(&caller.viewer.user, first).await?;
        Ok(Progress::list(warm))
    }

    /// Tags of the library, ordered by name. At most 10,000.
    async fn tags(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "Text that must occur in the name, at most 200 characters, ignoring case. Null means all."
        )]
        search: Option<String>,
    ) -> Result<List<Tag>, Error> {
        let labels = labels(ctx, LabelKind::Tag, search).await?;
        Ok(Tag::list(labels))
    }

    /// Fandoms of the library, ordered by name. At most 10,000.
    async fn fandoms(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "Text that must occur in the name, at most 200 characters, ignoring case. Null means all."
        )]
        search: Option<String>,
    ) -> Result<List<Fandom>, Error> {
        let labels = labels(ctx, LabelKind::Fandom, search).await?;
        Ok(Fandom::list(labels))
    }

    /// Library of the signed-in user.
    async fn library(&self) -> Library {
        Library::default()
    }

    /// Page of the changes since a version: rows as they are now, and tombstones of removed rows.
    async fn library_changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "Version of the client's copy, from 0. 0 means no copy. It stays the same for all pages of a walk."
        )]
        since: i32,
        #[graphql(
            desc = "Epoch that came with that version. It stays the same for all pages of a walk. Null means unknown: the server then cannot notice that the library was restored from a backup."
        )]
        epoch: Option<ID>,
        #[graphql(
            default_with = "Some(CHANGES)",
            desc = "Number of changes, from 1 to 1,000 unless the server is configured otherwise. Null means 500."
        )]
        first: Option<i32>,
        #[graphql(
            desc = "`endCursor` of the previous page of the same walk. Null means the first page."
        )]
        after: Option<String>,
    ) -> Result<LibraryChanges, Error> {
        let caller = ctx.caller();
        let since = begin_of_walk(since, epoch)?;
        let most = caller.limits.max_changes;
        let first = u32::try_from(first.unwrap_or(CHANGES))
            .ok()
            .filter(|first| (1..=most).contains(first));
        let out_of_range = || Error::invalid("first", format!("must be from 1 to {most}"));
        let first = first.ok_or_else(out_of_range)?;
        let after = after.as_deref().map(delta_cursor).transpose()?;
        let selected = ctx.look_ahead().field("changes");
        let with = Related {
            stories: selected.field("story").exists(),
            labels: selected.field("tags").exists() || selected.field("fandoms").exists(),
        };
        let limit = PageLimit {
            changes: first,
            bytes: caller.limits.max_changes_bytes,
        };
        let request = PageRequest {
            since,
            after,
            limit,
            with,
        };
        let changes = caller.changes(request).await?;
        caller.allowance.read(changes.read).await;
        Ok(changes.into())
    }

    /// Writes of the library in the current epoch, newest first.
    async fn history(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            default_with = "Some(PAGE)",
            desc = "Number of writes, from 0 to 100 unless the server is configured otherwise. Null means 20."
        )]
        first: Option<i32>,
        #[graphql(
            desc = "`endCursor` of the previous page: only writes of lower versions. Null means from the newest."
        )]
        after: Option<i32>,
        #[graphql(desc = "Only writes of the device with this id. Null means all.")] device: Option<
            ID,
        >,
        #[graphql(desc = "Only writes that touched rows of this kind. Null means all.")]
        kind: Option<LibraryKind>,
    ) -> Result<HistoryPage, Error> {
        let caller = ctx.caller();
        let first = page_size(first.unwrap_or(PAGE), caller.limits.max_page)?;
        let filter = HistoryFilter {
            device: device.map(|device| device.0),
            kind: kind.map(Into::into),
        };
        let user = &caller.viewer.user;
        let before = after.map(Version::new);
        let writes = caller
            .library
            .history(user, &filter, before, first + 1)
            .await?;
        Ok(HistoryPage::new(writes, first as usize))
    }

    /// The library as it was at an earlier version.
    async fn library_at(
        &self,
        #[graphql(
            desc = "Version of the current epoch, from the library's `floor` to its version."
        )]
        version: i32,
    ) -> PastLibrary {
        PastLibrary(Version::new(version))
    }
}

/// The version and the epoch that a walk of changes begins at.
fn begin_of_walk(since: i32, epoch: Option<ID>) -> Result<Since, Error> {
    if since < 0 {
        return Err(Error::invalid("since", "must not be negative"));
    }
    let epoch = epoch.map(|epoch| epoch.parse()).transpose();
    Ok(Since {
        version: Version::new(since),
        epoch: epoch.map_err(|_| Error::invalid("epoch", "not an epoch of this server"))?,
    })
}

async fn labels(
    ctx: &Context<'_>,
    kind: LabelKind,
    search: Option<String>,
) -> Result<Vec<Label>, Error> {
    let caller = ctx.caller();
    let search = Search::phrase(&search.unwrap_or_default())?;
    caller.allowance.search(&search)?;
    caller
        .library
        .labels(&caller.viewer.user, kind, &search)
        .await
}
