//! Which templates of notices are accepted. A mistake is an error at start-up, and not a notice with braces in it.

use serde_json::json;
use url::Url;

use super::notice::NoticeTemplate;

/// Maximum length of a text, in characters. Three texts of 4 bytes for each character fit into a message.
const MAX_TEXT: usize = 300;

impl NoticeTemplate {
    /// Parses a template. Members that are missing keep their defaults.
    ///
    /// # Errors
    /// When it is not JSON, has an unknown member, or a member is invalid.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let template: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        check(&template)?;
        Ok(template)
    }
}

/// Checks a template. An error names the member that is invalid, and why.
fn check(template: &NoticeTemplate) -> Result<(), String> {
    for (name, text) in json!(template).as_object().into_iter().flatten() {
        let text = text.as_str().unwrap_or_default();
        check_text(name, text).map_err(|error| format!("`{name}` {error}"))?;
    }
    if template.title.trim().is_empty() {
        return Err("`title` must not be empty: browsers refuse a notice without one".to_owned());
    }
    Ok(())
}

fn check_text(name: &str, text: &str) -> Result<(), String> {
    if text.chars().count() > MAX_TEXT {
        return Err(format!("exceeds {MAX_TEXT} characters"));
    }
    if text.contains(char::is_control) {
        return Err("must not contain control characters".to_owned());
    }
    check_placeholders(text, allowed(name))?;
    match name {
        "navigate" if !is_web_address(text) => {
            Err("must be an http or https URL, or a path such as /?v={version}".to_owned())
        }
        "lang" if !is_language(text) => {
            Err("must be a language tag (BCP 47), such as en or pt-BR".to_owned())
        }
        _ => Ok(()),
    }
}

/// Returns the placeholders of a member.
fn allowed(name: &str) -> &'static [&'static str] {
    match name {
        "one_story" | "stories" | "other" => &["{count}", "{device}"],
        "navigate" => &["{version}"],
        _ => &[],
    }
}

fn check_placeholders(text: &str, allowed: &[&str]) -> Result<(), String> {
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let found = &rest[at..];
        let Some(placeholder) = allowed.iter().find(|name| found.starts_with(**name)) else {
            let end = found.find('}').map_or(found.len(), |end| end + 1);
            let allowed = match allowed {
                [] => "no placeholders".to_owned(),
                _ => allowed.join(" and "),
            };
            return Err(format!(
                "has the unknown placeholder {}: it takes {allowed}",
                &found[..end]
            ));
        };
        rest = &found[placeholder.len()..];
    }
    Ok(())
}

/// Returns whether a click may open an address: not one that runs a script.
fn is_web_address(text: &str) -> bool {
    let text = text.replace("{version}", "1");
    let page = Url::parse("https://app.example/").ok();
    let address = Url::options().base_url(page.as_ref()).parse(&text);
    address.is_ok_and(|address| matches!(address.scheme(), "http" | "https") && address.has_host())
}

fn is_language(text: &str) -> bool {
    let is_part = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    text.split('-').all(is_part)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;
    use crate::{
        library::{ChangeSummary, Device},
        push::encryption::MAX_PAYLOAD,
        version::testing::head,
    };

    fn parse(text: &Value) -> Result<NoticeTemplate, String> {
        NoticeTemplate::parse(text.to_string().as_bytes())
    }

    #[test]
    fn a_valid_template_is_accepted() {
        assert!(check(&NoticeTemplate::default()).is_ok());
        for template in [
            json!({"title": "Deine Bibliothek", "lang": "de-DE"}),
            json!({"one_story": "", "stories": "{count}{count} {device}", "other": "{device}"}),
            json!({"navigate": "https://app.example/?v={version}#new"}),
            json!({"navigate": "/library"}),
            json!({"navigate": "?v={version}"}),
        ] {
            assert!(
                parse(&template).is_ok(),
                "{template}: {:?}",
                parse(&template)
            );
        }
    }

    #[test]
    fn an_invalid_template_is_refused_with_the_name_of_its_member() {
        for (template, member) in [
            (json!({"titel": "x"}), "titel"),
            (json!({"title": 5}), "string"),
            (json!({"title": ""}), "`title`"),
            (json!({"title": " "}), "`title`"),
            (json!({"title": "x".repeat(MAX_TEXT + 1)}), "`title`"),
            (json!({"title": "a\u{1}"}), "`title`"),
            (
                json!({"title": "{count} changes"}),
                "`title` has the unknown placeholder {count}",
            ),
            (
                json!({"stories": "{count} on {devise}"}),
                "`stories` has the unknown placeholder {devise}",
            ),
            (json!({"stories": "{version}"}), "`stories`"),
            (json!({"one_story": "{ device}"}), "`one_story`"),
            (json!({"other": "{{device}}"}), "`other`"),
            (json!({"other": "{device"}), "`other`"),
            (json!({"other": "device}"}), "`other`"),
            (json!({"test": "{version}"}), "`test`"),
            (json!({"unnamed_device": "{device}"}), "`unnamed_device`"),
            (json!({"navigate": "/?v={count}"}), "`navigate`"),
            (
                json!({"navigate": "javascript:alert({version})"}),
                "`navigate`",
            ),
            (json!({"navigate": " JavaScript:alert(1)"}), "`navigate`"),
            (json!({"navigate": "data:text/html,x"}), "`navigate`"),
            (json!({"navigate": "mailto:me@example.org"}), "`navigate`"),
            (json!({"navigate": "https://"}), "`navigate`"),
            (json!({"lang": ""}), "`lang`"),
            (json!({"lang": "en_US"}), "`lang`"),
        ] {
            let error = parse(&template).unwrap_err();
            assert!(error.contains(member), "{template}: {error}");
        }
    }

    #[test]
    fn a_message_with_any_text_fits() {
        let long = "\u{1f4da}".repeat(300);
        let name = "\u{1f4f1}".repeat(100);
        let navigate = format!("/{}", "\u{1f4da}".repeat(299));
        let tag = "x-".repeat(149) + "xx";
        let stories = "{device}".repeat(37);
        let device = Device::new("id".to_owned(), Some(name)).unwrap();
        let mut changes = ChangeSummary::default();
        changes.entries = (0..30).map(|_| Uuid::now_v7()).collect();
        changes.devices = vec![Some(device)];
        for template in [
            json!({"title": long, "stories": long, "test": long, "navigate": navigate, "lang": tag}),
            json!({"title": long, "stories": stories}),
            json!({}),
        ] {
            let template = NoticeTemplate::parse(template.to_string().as_bytes()).unwrap();
            let newest = head(i64::MAX, i32::MAX);
            assert!(template.test_payload(newest).len() <= MAX_PAYLOAD);
            let payload = template.payload(newest, &changes, true);
            assert!(payload.len() <= MAX_PAYLOAD);
            let payload: Value = serde_json::from_slice(&payload).unwrap();
            assert_eq!(payload["version"], i32::MAX);
            assert_eq!(payload["notification"]["title"], template.title);
            assert!(payload.get("warm").is_none_or(Value::is_array), "no null");
        }
    }
}
