//! Strategies for property tests: valid GraphQL requests, and damaged bytes.

use proptest::{collection::vec, option, prelude::*, sample::Index};
use serde_json::{Map, Value, json};

/// Number of cases per property: some seconds in a debug build.
pub(in crate::http) const CASES: u32 = 4_000;
/// Number of damaged copies per case, because generating a case is slower than parsing it.
const DAMAGES: usize = 6;

/// Any shallow JSON value.
pub(in crate::http) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(json!(0.5)),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            map(inner).prop_map(Value::from),
        ]
    })
}

fn map(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    vec(("[a-z_]{1,4}|.{0,4}", values), 0..3).prop_map(Map::from_iter)
}

/// Any JSON object.
pub(in crate::http) fn any_map() -> impl Strategy<Value = Map<String, Value>> {
    map(any_json())
}

/// The parameters of a well-formed request.
pub(in crate::http) fn any_request() -> impl Strategy<Value = Map<String, Value>> {
    let named = prop_oneof![Just("query"), Just("documentId")];
    let text = r"[\PC]{1,20}|\{ libraryVersion \}|query ([A-Za-z_]{1,5}) \{ [a-z]{1,8} \}";
    let rest = (
        option::of(any_map()),
        option::of(any_map()),
        option::of("[A-Za-z]{1,5}"),
    );
    (named, text, rest).prop_map(|(named, text, (variables, extensions, name))| {
        let mut request = Map::from_iter([(named.to_owned(), json!(text))]);
        let rest = [
            ("variables", variables.map(Value::from)),
            ("extensions", extensions.map(Value::from)),
            ("operationName", name.map(Value::from)),
        ];
        let rest = rest
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        request.extend(rest);
        request
    })
}

/// A few changes of a text's bytes.
#[derive(Debug, Clone)]
pub(in crate::http) struct Damage(Vec<(Index, Change)>);

#[derive(Debug, Clone)]
enum Change {
    Replace(u8),
    Insert(Vec<u8>),
    Remove,
    Repeat(u8),
    Cut,
}

/// Bytes with a meaning to parsers.
const SYNTAX: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b":",
    b",",
    b"null",
    b"\\u0000",
    b"\\ud800",
    b"1e999",
    b"-0",
    b"\xff",
    b"\xed\xa0\x80",
    b"\0",
    b"%",
    b"&",
    b"=",
    b"\"type\":\"ping\",",
];

/// Several damages, each of which keeps most of a text.
pub(in crate::http) fn any_damages() -> impl Strategy<Value = Vec<Damage>> {
    vec(any_damage(), DAMAGES)
}

fn any_damage() -> impl Strategy<Value = Damage> {
    let syntax = prop::sample::select(SYNTAX);
    let change = prop_oneof![
        any::<u8>().prop_map(Change::Replace),
        syntax.prop_map(|bytes| Change::Insert(bytes.to_vec())),
        Just(Change::Remove),
        (1u8..50).prop_map(Change::Repeat),
        Just(Change::Cut),
    ];
    vec((any::<Index>(), change), 1..4).prop_map(Damage)
}

impl Damage {
    pub fn of(&self, text: &str) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        for (index, change) in &self.0 {
            if bytes.is_empty() {
                break;
            }
            let at = index.index(bytes.len());
            match change {
                Change::Replace(byte) => bytes[at] = *byte,
                Change::Insert(more) => drop(bytes.splice(at..at, more.iter().copied())),
                Change::Remove => drop(bytes.remove(at)),
                Change::Repeat(times) => {
                    let more = vec![bytes[at]; (*times).into()];
                    drop(bytes.splice(at..at, more));
                }
                Change::Cut => bytes.truncate(at),
            }
        }
        bytes
    }
}
