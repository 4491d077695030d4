//! The subscription `libraryVersion`, without the engine.
//!
//! In the flow: beside the [executor](super::executor), for the subscription that every device keeps open. The engine
//! keeps about 24 KiB for each open subscription, and this stream less than 1 KiB.
//!
//! **Invariant:** the responses are those of the engine. A subscription that cannot begin is left to the engine, which
//! reports the error at its field.

use async_graphql::{
    Name, Request, Response, Value,
    indexmap::IndexMap,
    parser::types::{OperationType, Selection},
};
use futures_util::{Stream, StreamExt as _};

use super::context::Caller;
use crate::version::Head;

/// Returns the responses of a subscription that selects `libraryVersion`, each with its head. `None` for any other
/// operation.
pub(super) async fn open(
    request: &mut Request,
    caller: &Caller,
) -> Option<impl Stream<Item = (Response, Head)> + Send + Unpin + use<>> {
    let key = response_key(request)?;
    let (user, issued_at) = (&caller.viewer.user, caller.viewer.issued_at);
    let heads = caller.feed.follow(user, issued_at, None, caller.transport);
    Some(heads.await.ok()?.map(move |event| {
        let version = event.head.version.number().into();
        let data = Value::Object(IndexMap::from([(key.clone(), version)]));
        (Response::new(data), event.head)
    }))
}

/// Returns the response key of `libraryVersion`, if it is the only field of a subscription.
fn response_key(request: &mut Request) -> Option<Name> {
    let document = request.parsed_query().ok()?;
    let (_, operation) = document.operations.iter().next()?;
    let [selection] = &operation.node.selection_set.node.items[..] else {
        return None;
    };
    let Selection::Field(field) = &selection.node else {
        return None;
    };
    let is_meant = operation.node.ty == OperationType::Subscription
        && field.node.name.node == "libraryVersion";
    is_meant.then(|| field.node.response_key().node.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_subscription_to_the_version_does_without_the_engine() {
        for (document, key) in [
            ("subscription { libraryVersion }", Some("libraryVersion")),
            ("subscription S { v: libraryVersion }", Some("v")),
            ("subscription { libraryEvents { version } }", None),
            ("{ libraryVersion }", None),
            ("subscription { a: libraryVersion b: libraryVersion }", None),
        ] {
            let found = response_key(&mut Request::new(document));
            assert_eq!(found.as_ref().map(Name::as_str), key, "{document}");
        }
    }
}
