//! Delivers versions to sleeping devices (Web Push) and to other servers (webhook).
//!
//! In the flow: the hub reports new heads, the library stores what each endpoint is known to have, and a worker on each
//! node sends the difference.
//!
//! ```text
//! notice ─┬─ worker ─ claim ─ delivery ─ notice template ─ encryption ─ push service
//! sweep ──┘              └─── webhook ─ receiver
//! ```
//!
//! **Invariant:** nothing is queued. What is due follows from comparing the head with what an endpoint is known to have.
//! **Invariant:** no log, error or metric contains an endpoint, a key or a payload.

mod answer;
mod client;
mod concurrency;
mod delivery;
mod encryption;
mod limits;
mod notice;
mod notice_check;
mod push_service;
mod sender;
mod vapid;
mod webhook;
mod worker;

pub use self::{
    client::UnreachableService,
    delivery::{TestOutcome, test},
    encryption::{InvalidRecipient, Recipient},
    limits::PushLimits,
    notice::NoticeTemplate,
    push_service::{InvalidAddress, TestService, parse_address},
    sender::{InvalidEndpoint, Push, ServiceAddress},
    vapid::{InvalidVapid, Vapid, new_key},
    webhook::{InvalidWebhook, Webhook},
    worker::Worker,
};
