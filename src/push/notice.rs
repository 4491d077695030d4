//! The payload of a push message: the version, and the notice that the browser shows.
//!
//! One JSON object serves all browsers. The older web app's worker reads `type` and `version`. Safari shows `notification`
//! without running a worker (Declarative Web Push). Workers read the rest.
//!
//! **Invariant:** a message fits into [`MAX_PAYLOAD`] bytes and has a title, for any names of devices.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::encryption::MAX_PAYLOAD;
use crate::{library::ChangeSummary, version::Head};

/// The tag of all notices: a new one replaces the one before.
const TAG: &str = "library";

/// The words of notices. `{count}` stands for the number of changed stories, `{device}` for where they were changed, and
/// `{version}` for the library version.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NoticeTemplate {
    /// BCP 47 language tag.
    pub lang: String,
    /// Title.
    pub title: String,
    /// Body, if one story was changed.
    pub one_story: String,
    /// Body, if several stories were changed.
    pub stories: String,
    /// Body, if something else was changed.
    pub other: String,
    /// Stands for a device without a name.
    pub unnamed_device: String,
    /// Stands for several devices.
    pub several_devices: String,
    /// URL that a click opens. Safari requires an absolute URL.
    pub navigate: String,
    /// Body of a test message.
    pub test: String,
}

impl Default for NoticeTemplate {
    fn default() -> Self {
        Self {
            lang: "en".to_owned(),
            title: "Your library".to_owned(),
            one_story: "1 story updated on {device}".to_owned(),
            stories: "{count} stories updated on {device}".to_owned(),
            other: "Updated on {device}".to_owned(),
            unnamed_device: "another device".to_owned(),
            several_devices: "several devices".to_owned(),
            navigate: "/?v={version}".to_owned(),
            test: "Notifications work.".to_owned(),
        }
    }
}

impl NoticeTemplate {
    fn body(&self, changes: &ChangeSummary) -> String {
        let body = match changes.entries.len() {
            0 => &self.other,
            1 => &self.one_story,
            _ => &self.stories,
        };
        let device = match changes.devices.as_slice() {
            [Some(device)] => device.name().unwrap_or(&self.unnamed_device),
            [] | [None] => &self.unnamed_device,
            _ => &self.several_devices,
        };
        body.replace("{count}", &changes.entries.len().to_string())
            .replace("{device}", device)
    }

    fn notification(&self, body: &str, version: &str, data: &Value) -> Value {
        json!({
            "title": self.title,
            "body": body,
            "lang": self.lang,
            "navigate": self.navigate.replace("{version}", version),
            "tag": TAG,
            "silent": true,
            "data": data,
        })
    }

    /// Returns the payload for a new head. With `warm`, it names the changed entries that the reader most
    /// likely opens next.
    pub(super) fn payload(&self, head: Head, changes: &ChangeSummary, warm: bool) -> Vec<u8> {
        let (epoch, version) = (head.epoch.number(), head.version.number());
        let data = json!({"type": "library_version_update", "version": version, "epoch": epoch});
        let body = self.body(changes);
        let mut message = json!({
            "web_push": 8030,
            "notification": self.notification(&body, &version.to_string(), &data),
            "type": "library_version_update",
            "version": version,
            "epoch": epoch,
        });
        if warm && !changes.warm.is_empty() {
            message["warm"] = changes.warm.iter().map(ToString::to_string).collect();
        }
        shortened(message)
    }

    /// Returns the payload of a test message.
    pub(super) fn test_payload(&self, head: Head) -> Vec<u8> {
        let version = head.version.number().to_string();
        shortened(json!({
            "web_push": 8030,
            "notification": self.notification(&self.test, &version, &json!({"type": "test"})),
            "type": "test",
        }))
    }
}

/// Serializes a message. Removes what is optional if it is too long. The rest fits, because templates are checked.
fn shortened(mut message: Value) -> Vec<u8> {
    for (parent, optional) in [("", "warm"), ("/notification", "body")] {
        let bytes = message.to_string().into_bytes();
        if bytes.len() <= MAX_PAYLOAD {
            return bytes;
        }
        if let Some(parent) = message.pointer_mut(parent).and_then(Value::as_object_mut) {
            parent.remove(optional);
        }
    }
    message.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{library::Device, version::testing::head};

    fn changes(entries: usize, devices: &[Option<&str>]) -> ChangeSummary {
        let device = |name: Option<&str>| {
            name.map(|name| Device::new("id".to_owned(), Some(name.to_owned())).unwrap())
        };
        let mut changes = ChangeSummary::default();
        changes.entries = (0..entries).map(|_| Uuid::now_v7()).collect();
        changes.warm = changes.entries.iter().take(20).copied().collect();
        changes.devices = devices.iter().copied().map(device).collect();
        changes
    }

    fn payload(template: &NoticeTemplate, changes: &ChangeSummary) -> Value {
        let payload = template.payload(head(7, 9), changes, true);
        assert!(payload.len() <= MAX_PAYLOAD);
        serde_json::from_slice(&payload).unwrap()
    }

    #[test]
    fn a_notice_says_what_changed_and_where() {
        for (entries, devices, body) in [
            (1, &[Some("Phone")][..], "1 story updated on Phone"),
            (2, &[Some("Phone")], "2 stories updated on Phone"),
            (0, &[None], "Updated on another device"),
            (
                3,
                &[Some("Phone"), None],
                "3 stories updated on several devices",
            ),
        ] {
            let payload = payload(&NoticeTemplate::default(), &changes(entries, devices));
            assert_eq!(payload["notification"]["body"], body);
        }
    }

    #[test]
    fn a_message_is_read_by_the_older_worker_and_by_declarative_web_push() {
        let payload = payload(&NoticeTemplate::default(), &changes(30, &[]));
        assert_eq!(payload["type"], "library_version_update");
        assert_eq!(
            (&payload["version"], &payload["epoch"]),
            (&json!(9), &json!(7))
        );
        assert_eq!(payload["web_push"], 8030);
        assert_eq!(payload["warm"].as_array().unwrap().len(), 20);
        let notification = &payload["notification"];
        assert_eq!(notification["navigate"], "/?v=9");
        assert_eq!(
            (&notification["tag"], &notification["silent"]),
            (&json!("library"), &json!(true))
        );
        assert_eq!(notification["data"]["version"], 9);
    }
}
