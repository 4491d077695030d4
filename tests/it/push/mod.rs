//! Web Push and the webhook: who is sent what, when, and what is refused.

pub mod concurrency;
pub mod cost;
pub mod delivery;
pub mod endpoints;
pub mod fake_push_service;
pub mod message;
pub mod schedules;
pub mod webhook;
