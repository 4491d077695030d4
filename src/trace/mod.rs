//! Distributed tracing: the path of a change from the request that makes it to the devices that show it.
//!
//! In the flow: `http` begins a trace of a request with a `traceparent`; the library, the hub and the feed record the parts;
//! an exporter sends them over OTLP. [docs/tracing.md](https://github.com/library-sync/library-sync/blob/main/docs/tracing.md)
//! lists the spans.
//!
//! **Invariant:** without `--otlp-endpoint`, no span is created and nothing is allocated.
//! **Invariant:** a span that cannot be sent is dropped and counted. No request waits for the collector.

mod clock;
mod exporter;
mod span;
mod trace_parent;

pub use self::{
    clock::{now, set_clock_ahead},
    exporter::{Exporter, InvalidEndpoint, traces_address},
    span::{OpenSpan, Span, is_on, record},
    trace_parent::TraceParent,
};
