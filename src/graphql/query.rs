//! The query root.

use async_graphql::{Context, ID, Lookahead, Object, connection::Connection};

use super::{
    context::CallerExt as _,
    types::{
        Fandom, Library, LibraryChanges, Page, Progress, ProgressCursor, ProgressFilter,
        ProgressList, ProgressOrder, Story, Tag, Viewer, delta_cursor,
        id::{progress_id, story_id},
    },
};
use crate::{
    library::{Error, Label, LabelKind, Listed, PageLimit, Search, Since},
    version::Version,
};

/// Number of entries in a page where `first` is absent or null.
const PAGE: i32 = 20;

/// Number of changes in a page where `first` is absent or null.
const CHANGES: i32 = 500;

/// What the signed-in user keeps in their library.
pub(super) struct Query;

#[Object]
impl Query {
    /// The version of your library: 1 for one never changed, and 1 more with each change.
    /// A device whose cached copy is of a lower version is behind.
    async fn library_version(&self, ctx: &Context<'_>) -> Result<i32, Error> {
        Ok(ctx.caller().present().await?.version.number())
    }

    /// You.
    async fn viewer(&self) -> Viewer {
        Viewer
    }

    /// One entry of your library, or null when it has none of this id.
    async fn progress(&self, ctx: &Context<'_>, id: ID) -> Option<Result<Progress, Error>> {
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

    /// One story of your library, or null when it has none of this id.
    async fn story(&self, ctx: &Context<'_>, id: ID) -> Option<Result<Story, Error>> {
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

    /// The entries of your library, a page at a time. An entry that is added, changed or removed meanwhile moves no other
    /// from one page to the next.
    async fn progresses(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            default_with = "Some(PAGE)",
            desc = "Number of entries in a page, at most 100 unless the server is configured otherwise. Null means 20."
        )]
        first: Option<i32>,
        #[graphql(desc = "Continue after this edge's cursor, in the same order.")] after: Option<
            String,
        >,
        #[graphql(desc = "Which entries; all when absent.")] filter: Option<ProgressFilter>,
        #[graphql(desc = "In which order; newest change first when absent.")] order_by: Option<
            ProgressOrder,
        >,
    ) -> Result<Connection<ProgressCursor, Progress, ProgressList>, Error> {
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

    /// Your tags, by name.
    async fn tags(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What occurs in their names, in whatever case; all when absent.")] search: Option<String>,
    ) -> Result<Vec<Tag>, Error> {
        let labels = labels(ctx, LabelKind::Tag, search).await?;
        Ok(Tag::list(labels))
    }

    /// Your fandoms, by name.
    async fn fandoms(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What occurs in their names, in whatever case; all when absent.")] search: Option<String>,
    ) -> Result<Vec<Fandom>, Error> {
        let labels = labels(ctx, LabelKind::Fandom, search).await?;
        Ok(Fandom::list(labels))
    }

    /// Your library as a whole.
    async fn library(&self, ctx: &Context<'_>) -> Result<Library, Error> {
        let caller = ctx.caller();
        let (head, floor) = caller.library.head_and_floor(&caller.viewer.user).await?;
        Ok(Library { head, floor })
    }

    /// What changed in your library since a version: rows as they are now, and tombstones of what was removed.
    async fn library_changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The version that your copy reflects; 0 if you have none.")] since: i32,
        #[graphql(desc = "The epoch that came with that version.")] epoch: Option<ID>,
        #[graphql(
            default_with = "Some(CHANGES)",
            desc = "Number of changes in a page, at most 1,000 unless the server is configured otherwise. Null means 500."
        )]
        first: Option<i32>,
        #[graphql(desc = "Continue a walk: the `endCursor` of its last page.")] after: Option<
            String,
        >,
    ) -> Result<LibraryChanges, Error> {
        let caller = ctx.caller();
        let invalid = |field, message: &str| Error::Invalid {
            field,
            message: message.to_owned(),
        };
        if since < 0 {
            return Err(invalid("since", "must not be negative"));
        }
        let most = caller.limits.max_changes;
        let first = u32::try_from(first.unwrap_or(CHANGES))
            .ok()
            .filter(|first| (1..=most).contains(first));
        let first = first.ok_or_else(|| invalid("first", &format!("must be from 1 to {most}")))?;
        let epoch = epoch.map(|epoch| epoch.parse()).transpose();
        let since = Since {
            version: Version::new(since),
            epoch: epoch.map_err(|_| invalid("epoch", "is no epoch of this server"))?,
        };
        let after = after.as_deref().map(delta_cursor).transpose()?;
        let with_stories = ctx.look_ahead().field("changes").field("story").exists();
        let user = &caller.viewer.user;
        let limit = PageLimit {
            changes: first,
            bytes: caller.limits.max_changes_bytes,
        };
        let changes = caller
            .library
            .changes(user, since, after, limit, with_stories)
            .await?;
        caller.allowance.read(changes.read).await;
        Ok(changes.into())
    }
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
