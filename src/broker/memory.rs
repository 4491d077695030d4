//! The broker of a server that is alone: it tells its own node and nobody else.

use std::sync::OnceLock;

use super::{Broker, Listener, Notice, Signal};

/// Carries notices within this process.
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
        // A second listener would split the node; the first stays.
        let _ = self.listener.set(listener);
    }
}
