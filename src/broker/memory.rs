//! The broker of a single node: delivers notices to this node only.

use std::{future::ready, sync::OnceLock};

use futures_util::{FutureExt as _, future::BoxFuture};

use super::notice::{Broker, Listener, Notice, Signal};
use crate::version::UserId;

/// Delivers notices within this process.
#[derive(Default)]
pub struct Memory {
    listener: OnceLock<Listener>,
}

impl Broker for Memory {
    fn publish(&self, notice: Notice) {
        if let Some(listener) = self.listener.get() {
            listener(Signal::Notice(notice));
        }
    }

    fn listen(&self, listener: Listener) {
        // A second listener is ignored.
        let _ = self.listener.set(listener);
    }

    fn watch(&self, _: &UserId) {}

    fn unwatch(&self, _: &UserId) {}

    fn close(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}
