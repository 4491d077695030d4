//! The operator's page at `/admin`, and the JSON routes that it calls: the state of this node, and the devices of a user.
//!
//! ```text
//! /admin, /admin/assets/… ─ page ─ no token: the files hold nothing of users
//! /admin/api/… ─ operators only ─┬─ node_events ─ node_report (the metrics of this node), running nodes
//!                                └─ user_report, user_actions
//! ```
//!
//! **Invariant:** every route below `/admin/api` is behind the token of operators, which only the header
//! `Authorization` carries. So no page of another origin can cause a request with it.
//! **Invariant:** no response contains a token, a push endpoint or content of a library.

mod named_user;
mod node_events;
mod node_report;
mod page;
mod route_table;
mod samples;
mod user_actions;
mod user_report;

pub(in crate::http) use self::route_table::routes;
