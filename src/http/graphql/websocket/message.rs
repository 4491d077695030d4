//! The messages of `graphql-transport-ws`, as defined by its PROTOCOL.md.
//!
//! **Invariant:** any bytes that are not a valid client message are refused here.
//! **Invariant:** an operation with invalid parameters is a valid message: the operation fails, and its socket remains.

use std::borrow::Cow;

use async_graphql::{Request, ServerError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    graphql::{self, json},
    http::graphql::operation::Outcome,
    version::Version,
};

/// Maximum length of an operation's id, in bytes. Every result repeats the id.
pub(super) const MAX_ID_BYTES: usize = 256;

/// A message of a client.
#[derive(Debug)]
pub(super) enum ClientMessage {
    /// Authenticates the client.
    ConnectionInit { payload: Option<Map<String, Value>> },
    /// Asks for a pong with the same payload.
    Ping { payload: Option<Box<RawValue>> },
    /// Answers a ping, or is an unsolicited sign of life.
    Pong,
    /// Begins an operation. The payload is the cause when its parameters are invalid.
    Subscribe {
        id: Id,
        payload: Result<Box<Request>, String>,
    },
    /// Ends an operation.
    Complete { id: Id },
}

/// The common structure of all messages.
#[derive(Deserialize)]
#[serde(expecting = "a message must be an object")]
struct Envelope<'m> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'m, str>,
    id: Option<Id>,
    #[serde(borrow)]
    payload: Option<&'m RawValue>,
}

/// Why a text is not a message.
type Broken = Cow<'static, str>;

impl ClientMessage {
    /// Parses the text of a frame.
    ///
    /// # Errors
    /// When it is not a message of the protocol, or one that only a server sends.
    pub fn parse(text: &str) -> Result<Self, Broken> {
        // serde deserializes a list into a struct too.
        if !text.trim_ascii_start().starts_with('{') {
            return Err("a message must be an object".into());
        }
        let message: Envelope<'_> =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        let id = message.id.ok_or("`id` is missing");
        let payload = message.payload;
        if payload.is_some_and(|payload| !payload.get().starts_with('{')) {
            return Err("`payload` must be an object".into());
        }
        match &*message.kind {
            "connection_init" => Ok(Self::ConnectionInit {
                payload: payload.map(object).transpose()?,
            }),
            "ping" => Ok(Self::Ping {
                payload: payload.map(ToOwned::to_owned),
            }),
            "pong" => Ok(Self::Pong),
            "subscribe" => Ok(Self::Subscribe {
                id: id?,
                payload: operation(payload.ok_or("`payload` is missing")?),
            }),
            "complete" => Ok(Self::Complete { id: id? }),
            _ => Err("unknown `type` of a client message".into()),
        }
    }
}

fn object(payload: &RawValue) -> Result<Map<String, Value>, String> {
    match json::parse(payload.get()) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("`payload` must be an object".to_owned()),
        Err(error) => Err(format!("`payload`: {error}")),
    }
}

/// Parses an operation, in the format of GraphQL over HTTP.
fn operation(payload: &RawValue) -> Result<Box<Request>, String> {
    let payload = object(payload)?;
    let request = graphql::request(Value::Object(payload));
    request.map(Box::new).map_err(|error| error.to_string())
}

/// A client-generated id of an operation, unique among the running operations of a socket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Id(String);

impl Id {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        match id.len() {
            0 => Err("`id` is empty"),
            1..=MAX_ID_BYTES => Ok(Self(id)),
            _ => Err("`id` exceeds the limit of 256 bytes"),
        }
    }
}

/// A message of the server.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ServerMessage<'a> {
    /// Acknowledges `connection_init`.
    ConnectionAck,
    /// Asks for a pong, and reports the newest version.
    Ping {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<Heartbeat>,
    },
    /// Answers a ping.
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<Box<RawValue>>,
    },
    /// One result of an operation.
    Next { id: &'a str, payload: &'a Outcome },
    /// Ends an operation that is not executed, with the reasons.
    Error {
        id: &'a str,
        payload: &'a [ServerError],
    },
    /// Ends an operation after its last result.
    Complete { id: &'a str },
}

/// The payload of the server's pings.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Heartbeat {
    pub library_version: Version,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::http::graphql::{
        testing::{CASES, any_damages, any_map, any_request},
        websocket::close_code::Close,
    };

    fn parse(message: &Value) -> Result<ClientMessage, Broken> {
        ClientMessage::parse(&message.to_string())
    }

    fn written(message: &ServerMessage<'_>) -> String {
        serde_json::to_string(message).unwrap()
    }

    #[test]
    fn every_client_message_is_parsed() {
        let payload = json!({"a": 1}).as_object().cloned();
        for message in [
            json!({"type": "connection_init"}),
            json!({"type": "connection_init", "payload": null, "more": true}),
        ] {
            let understood = parse(&message).unwrap();
            assert!(matches!(
                understood,
                ClientMessage::ConnectionInit { payload: None }
            ));
        }
        assert!(parse(&json!({"type": "pong", "payload": {}})).is_ok());
        let init = parse(&json!({"type": "connection_init", "payload": {"a": 1}})).unwrap();
        assert!(matches!(init, ClientMessage::ConnectionInit { payload: read } if read == payload));
        let ping = ClientMessage::parse(r#"{"type":"ping","payload": {"a":"\ud83d", "a":1e999}}"#);
        let Ok(ClientMessage::Ping { payload }) = ping else {
            panic!("{ping:?}");
        };
        let answer = written(&ServerMessage::Pong { payload });
        assert_eq!(
            answer,
            r#"{"type":"pong","payload":{"a":"\ud83d", "a":1e999}}"#
        );
        let complete = parse(&json!({"id": "1", "type": "complete"})).unwrap();
        assert!(matches!(complete, ClientMessage::Complete { id } if id.as_str() == "1"));
    }

    #[test]
    fn an_operation_is_parsed_as_over_http() {
        let payload = json!({
            "query": "query A($n: Int) {a}", "operationName": "A",
            "variables": {"n": 5}, "extensions": {"x": {"y": 1}},
        });
        let message = json!({"type": "subscribe", "id": "1", "payload": payload});
        let ClientMessage::Subscribe { id, payload } = parse(&message).unwrap() else {
            panic!("{message}");
        };
        let request = payload.unwrap();
        assert_eq!(id.as_str(), "1");
        assert_eq!(request.query, "query A($n: Int) {a}");
        assert_eq!(request.operation_name.as_deref(), Some("A"));
        assert_eq!(json!(request.variables), json!({"n": 5}));
        assert_eq!(json!(request.extensions), json!({"x": {"y": 1}}));
    }

    #[test]
    fn an_invalid_client_message_is_refused() {
        for message in [
            json!(null),
            json!([]),
            json!("connection_init"),
            json!({}),
            json!({"type": 1}),
            json!({"type": ""}),
            json!({"type": "start"}),
            json!({"type": "CONNECTION_INIT"}),
            json!({"type": "connection_init", "payload": "token"}),
            json!({"type": "connection_init", "payload": []}),
            json!({"type": "ping", "payload": 1}),
            json!({"type": "subscribe"}),
            json!({"type": "subscribe", "id": "1"}),
            json!({"type": "subscribe", "payload": {"query": "{a}"}}),
            json!({"type": "subscribe", "id": 1, "payload": {"query": "{a}"}}),
            json!({"type": "subscribe", "id": "", "payload": {"query": "{a}"}}),
            json!({"type": "subscribe", "id": "x".repeat(MAX_ID_BYTES + 1), "payload": {"query": "{a}"}}),
            json!({"type": "subscribe", "id": "1", "payload": "{a}"}),
            json!({"type": "subscribe", "id": "1", "payload": ["{a}"]}),
            json!({"type": "complete"}),
            json!({"type": "complete", "id": ""}),
            json!({"type": "connection_ack"}),
            json!({"type": "next", "id": "1", "payload": {"data": {}}}),
            json!({"type": "error", "id": "1", "payload": []}),
        ] {
            assert!(parse(&message).is_err(), "{message}");
        }
        for text in [
            "",
            " ",
            "{",
            "{}{}",
            "\u{0}",
            &"[".repeat(100_000),
            r#"["ping"]"#,
            r#"{"type":"ping","type":"pong"}"#,
            r#"{"type":"complete","id":"1","id":"2"}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{a}"},"payload":{"query":"{b}"}}"#,
            r#"{"type":"connection_init","payload":{"Authorization":"a","Authorization":"b"}}"#,
        ] {
            assert!(ClientMessage::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_operation_with_invalid_parameters_is_a_message_with_the_cause() {
        let deep = format!(
            r#"{{"query":"{{a}}","variables":{{"x":{}1{}}}}}"#,
            "[".repeat(2_000),
            "]".repeat(2_000)
        );
        for (payload, cause) in [
            ("{}", "`query` is missing"),
            (r#"{"query":null}"#, "`query` is missing"),
            (r#"{"query":1}"#, "`query` must be a string"),
            (
                r#"{"query":"{a}","variables":[]}"#,
                "`variables` must be an object",
            ),
            (
                r#"{"query":"{a}","operationName":1}"#,
                "`operationName` must be a string",
            ),
            (
                r#"{"query":"{a}","extensions":"x"}"#,
                "`extensions` must be an object",
            ),
            (
                r#"{"query":"{a}","variables":{"x":1e999}}"#,
                "number out of range",
            ),
            (
                r#"{"query":"{a}","query":"{b}"}"#,
                r#"duplicate key "query""#,
            ),
            (&deep, "recursion limit"),
        ] {
            let text = format!(r#"{{"type":"subscribe","id":"7","payload":{payload}}}"#);
            let message = ClientMessage::parse(&text).unwrap();
            let ClientMessage::Subscribe {
                id,
                payload: Err(error),
            } = message
            else {
                panic!("{message:?}");
            };
            assert_eq!(id.as_str(), "7");
            assert!(error.contains(cause), "{error}");
        }
        // Unknown parameters and unpaired surrogates are accepted.
        let odd = r#"{"type":"subscribe","id":"7","payload":{"query":"{a}","more":1,"variables":{"n":"\ud83d"}}}"#;
        let Ok(ClientMessage::Subscribe {
            payload: Ok(request),
            ..
        }) = ClientMessage::parse(odd)
        else {
            panic!("expected an operation");
        };
        assert_eq!(json!(request.variables), json!({"n": "\u{fffd}"}));
    }

    #[test]
    fn server_messages_have_the_format_of_the_protocol() {
        let library_version = Version::new(7);
        let outcome = Outcome::error("FORBIDDEN", "no");
        for (message, text) in [
            (ServerMessage::ConnectionAck, r#"{"type":"connection_ack"}"#),
            (
                ServerMessage::Ping {
                    payload: Some(Heartbeat { library_version }),
                },
                r#"{"type":"ping","payload":{"libraryVersion":7}}"#,
            ),
            (ServerMessage::Pong { payload: None }, r#"{"type":"pong"}"#),
            (
                ServerMessage::Complete { id: "1" },
                r#"{"type":"complete","id":"1"}"#,
            ),
            (
                ServerMessage::Error {
                    id: "1",
                    payload: outcome.request_errors().unwrap(),
                },
                r#"{"type":"error","id":"1","payload":[{"message":"no","extensions":{"code":"FORBIDDEN"}}]}"#,
            ),
        ] {
            assert_eq!(written(&message), text);
        }
    }

    /// Any valid message of a client.
    fn any_message() -> impl Strategy<Value = Value> {
        let id = "[a-z0-9-]{1,36}|[\\PC]{1,64}|x{250,256}";
        let bare = prop_oneof![Just("connection_init"), Just("ping"), Just("pong")];
        prop_oneof![
            (bare, prop::option::of(any_map()))
                .prop_map(|(kind, payload)| json!({"type": kind, "payload": payload})),
            (id, any_request()).prop_map(
                |(id, payload)| json!({"type": "subscribe", "id": id, "payload": payload})
            ),
            id.prop_map(|id| json!({"type": "complete", "id": id})),
        ]
    }

    /// Whether a parsed message has the content of its JSON.
    fn agrees(understood: &ClientMessage, said: &Value) -> bool {
        let is_id =
            |id: &Id| (1..=MAX_ID_BYTES).contains(&id.as_str().len()) && said["id"] == id.as_str();
        match understood {
            ClientMessage::ConnectionInit { payload } => {
                said["type"] == "connection_init" && json!(payload) == said["payload"]
            }
            ClientMessage::Ping { payload } => {
                // The payload is kept as text, so it can hold an unpaired surrogate, which a `Value` cannot.
                let payload = payload
                    .as_ref()
                    .map(|json| json::parse(json.get()).unwrap());
                said["type"] == "ping" && json!(payload) == said["payload"]
            }
            ClientMessage::Pong => said["type"] == "pong",
            ClientMessage::Complete { id } => said["type"] == "complete" && is_id(id),
            ClientMessage::Subscribe { id, payload } => {
                let said_request = &said["payload"];
                let Ok(request) = payload else {
                    return said["type"] == "subscribe" && is_id(id);
                };
                let name = said_request["operationName"].as_str();
                let query = said_request["query"].as_str().unwrap_or_default();
                let variables = match &said_request["variables"] {
                    Value::Null => json!({}),
                    nothing if nothing == "" => json!({}),
                    variables => variables.clone(),
                };
                said["type"] == "subscribe"
                    && is_id(id)
                    && request.query == query
                    && request.operation_name.as_deref() == name.filter(|name| !name.is_empty())
                    && json!(request.variables) == variables
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(CASES))]

        #[test]
        fn every_valid_message_is_parsed_with_its_content(message in any_message()) {
            let understood = parse(&message);
            prop_assert!(understood.is_ok(), "{understood:?}");
            let understood = understood.unwrap();
            let is_refused = matches!(understood, ClientMessage::Subscribe { payload: Err(_), .. });
            prop_assert!(!is_refused, "{understood:?}");
            prop_assert!(agrees(&understood, &message));
        }

        #[test]
        fn any_json_is_a_message_or_refused(said in any_map(), id in "[ -~]{0,2}|x{255,258}", kind in "connection_init|ping|pong|subscribe|complete|next|.{0,8}") {
            let mut said = Value::from(said);
            said["type"] = json!(kind);
            said["id"] = json!(id);
            if let Ok(understood) = parse(&said) {
                prop_assert!(agrees(&understood, &said), "{understood:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(CASES))]

        #[test]
        fn a_damaged_message_is_parsed_with_its_content_or_refused(
            message in any_message(), damages in any_damages(),
        ) {
            for damage in damages {
                let bytes = damage.of(&message.to_string());
                // tungstenite refuses invalid UTF-8 before.
                let text = String::from_utf8_lossy(&bytes);
                match ClientMessage::parse(&text) {
                    Ok(understood) => {
                        let Ok(said) = json::parse(&text) else { continue };
                        prop_assert!(agrees(&understood, &said), "{understood:?}");
                    }
                    Err(error) => {
                        let close = Close::Invalid(error);
                        let frame = close.frame().unwrap();
                        prop_assert_eq!(u16::from(frame.code), 4400);
                        prop_assert!(frame.reason.as_str().len() <= 123);
                    }
                }
            }
        }
    }
}
