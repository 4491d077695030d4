//! [`TraceParent`]: the position in a trace, as the header `traceparent` carries it (W3C Trace Context).

use std::fmt;

/// A span of a sampled trace: `00-<trace id>-<span id>-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace: u128,
    span: u64,
}

impl TraceParent {
    /// Parses the header's value. Returns `None` if it is invalid, or if the caller does not sample the trace.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // Later versions may append parts; `ff` is invalid.
        let is_known = version == "00" && parts.next().is_none();
        let is_later = version != "00" && version != "ff";
        let sizes = [(version, 2), (trace, 32), (span, 16), (flags, 2)];
        let is_hex = |(part, size): (&str, usize)| {
            let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            part.len() == size && part.bytes().all(is_digit)
        };
        if !(is_known || is_later) || !sizes.into_iter().all(is_hex) {
            return None;
        }
        let is_sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        let (trace, span) = (
            u128::from_str_radix(trace, 16).ok()?,
            u64::from_str_radix(span, 16).ok()?,
        );
        (is_sampled && trace != 0 && span != 0).then_some(Self { trace, span })
    }

    /// Returns a new span of the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        Self {
            trace: self.trace,
            span: fastrand::u64(1..),
        }
    }

    /// Returns the id of the trace.
    pub fn trace_id(self) -> u128 {
        self.trace
    }

    /// Returns the id of the span.
    pub fn span_id(self) -> u64 {
        self.span
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-01", self.trace, self.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0b1902c7-01";

    #[test]
    fn a_sampled_trace_round_trips() {
        let parent = TraceParent::parse(TEXT).unwrap();
        assert_eq!(parent.to_string(), TEXT);
        let child = parent.child();
        assert_eq!(child.trace_id(), parent.trace_id());
        assert_ne!(child.span_id(), parent.span_id());
    }

    #[test]
    fn a_later_version_may_append_parts() {
        let later = TEXT.replacen("00", "01", 1) + "-more";
        assert!(TraceParent::parse(&later).is_some());
    }

    #[test]
    fn anything_else_is_no_trace() {
        let upper = TEXT.to_uppercase();
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0b1902c7-00",
            "00-00000000000000000000000000000000-00f067aa0b1902c7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0b1902c7-01-x",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0b1902c7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473+-00f067aa0b1902c7-01",
            &upper,
        ] {
            assert_eq!(TraceParent::parse(text), None, "{text}");
        }
    }
}
