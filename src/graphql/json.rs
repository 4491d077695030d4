//! Strict parser for JSON from clients.
//!
//! **Invariant:** a duplicate key is an error. `serde_json` would keep the last value without an error.
//! **Invariant:** an escaped lone surrogate is read as U+FFFD and does not make the message invalid. JavaScript
//! produces one when it cuts a text inside an emoji. Browsers replace it in the same way when they send it unescaped
//! (Infra Standard, "scalar value string").

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Maximum length of a duplicate key in an error message, in bytes.
const MAX_KEY_BYTES: usize = 64;

/// Parses a JSON text. A byte order mark before it is skipped (RFC 8259, section 8.1).
///
/// # Errors
/// If the text is not JSON, is nested too deeply, or contains a number out of range or a duplicate key.
pub fn parse(text: &str) -> Result<Value, serde_json::Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_json::from_str(&with_whole_characters(text)).map(|Strict(value)| value)
}

/// Returns the text with each escaped lone surrogate replaced by U+FFFD.
fn with_whole_characters(text: &str) -> Cow<'_, str> {
    let lone = if text.contains("\\u") {
        lone_surrogates(text.as_bytes())
    } else {
        Vec::new()
    };
    if lone.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut text = text.to_owned();
    for at in lone {
        text.replace_range(at..at + ESCAPE, "\\ufffd");
    }
    Cow::Owned(text)
}

/// Length of `\uXXXX`, in bytes.
const ESCAPE: usize = 6;

/// Returns the offsets of the escaped lone surrogates.
fn lone_surrogates(text: &[u8]) -> Vec<usize> {
    let (mut lone, mut at) = (Vec::new(), 0);
    while let Some(next) = next_backslash(text, at) {
        at = next;
        at += match (code_unit(text, at), code_unit(text, at + ESCAPE)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 2 * ESCAPE,
            (Some(0xD800..=0xDFFF), _) => {
                lone.push(at);
                ESCAPE
            }
            (Some(_), _) => ESCAPE,
            // Another escape, such as an escaped backslash.
            (None, _) => 2,
        };
    }
    lone
}

fn next_backslash(text: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    Some(from + rest.iter().position(|byte| *byte == b'\\')?)
}

/// Returns the UTF-16 code unit of the escape at `at`.
fn code_unit(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + ESCAPE)?.strip_prefix(b"\\u")?;
    let digit = |unit: u32, byte: &u8| Some(unit << 4 | char::from(*byte).to_digit(16)?);
    digits.iter().try_fold(0, digit)
}

/// A value without duplicate keys.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                let key = &key[..key.floor_char_boundary(MAX_KEY_BYTES)];
                return Err(A::Error::custom(format_args!("duplicate key {key:?}")));
            }
            let Strict(value) = entries.next_value()?;
            object.insert(key, value);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lone_surrogate_is_read_as_the_replacement_character() {
        for (text, read) in [
            (r#""a \ud83d""#, "a \u{fffd}"),
            (r#""\uDE00 b""#, "\u{fffd} b"),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\ud83dx""#, "\u{fffd}x"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
            // Texts without a lone surrogate.
            (r#""\ud83d\ude00""#, "😀"),
            (r#""\\ud83d""#, r"\ud83d"),
            (r#""\\\ud83d""#, "\\\u{fffd}"),
            (r#""\u0041""#, "A"),
        ] {
            assert_eq!(parse(text).unwrap(), json!(read), "{text}");
        }
        assert_eq!(parse(r#"{"\ud83d":1}"#).unwrap(), json!({"\u{fffd}": 1}));
        for broken in [
            r#""\ud83"#,
            r#""\"#,
            r#""\ud8""#,
            r#""\u+123""#,
            r#""\ud83g""#,
        ] {
            assert!(parse(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_duplicate_key_is_refused_by_name_at_any_depth() {
        for text in [
            r#"{"query":"a","query":"b"}"#,
            r#"{"a":{"query":1,"b":2,"query":1}}"#,
            r#"[{"query":null,"qu\u0065ry":null}]"#,
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(r#"duplicate key "query""#), "{error}");
        }
        assert!(parse(r#"{"a":{"x":1},"b":{"x":1}}"#).is_ok());
        let long = "k".repeat(1000);
        let error = parse(&format!(r#"{{"{long}":1,"{long}":2}}"#)).unwrap_err();
        assert!(error.to_string().len() < 120, "{error}");
    }

    #[test]
    fn a_byte_order_mark_is_skipped_once() {
        assert_eq!(parse("\u{feff}{}").unwrap(), json!({}));
        assert!(parse("\u{feff}\u{feff}{}").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"("|\\|u|d8|de|[0-9a-f]|\{|:|,|\PC){0,24}"#) {
            if let Ok(read) = serde_json::from_str::<Value>(&text) {
                match parse(&text) {
                    Ok(value) => prop_assert_eq!(value, read),
                    Err(error) => prop_assert!(error.to_string().contains("duplicate key")),
                }
            } else {
                let _ = parse(&text);
            }
        }
    }
}
