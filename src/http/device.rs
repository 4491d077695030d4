//! The device of a request or stream: its id, and what it reports of itself.
//!
//! | fact | header of any request | parameter of a stream's URL, or member of `connection_init` |
//! |---|---|---|
//! | id | `X-Device-Id` | `device` |
//! | head that its screen reflects | `X-Library-Applied` | `applied` |
//! | changes in its outbox: `count`, `count;oldest` or `count;oldest;code` | `X-Library-Pending` | `pending` |
//! | client, as `name/version` | `X-Library-Client` | `client` |
//! | its clock, in milliseconds since the Unix epoch | `X-Library-Clock` | `clock` |
//! | platform, in words; else from `User-Agent` | `X-Device-Platform` | `platform` |
//!
//! `EventSource` sends no headers, therefore the parameters.
//!
//! In the flow: the library decides by it which devices get push messages, and why a device is not up to date.

use axum::http::{HeaderMap, HeaderValue, header, request::Parts};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{
    error::HttpError,
    platform::platform,
    state::Node,
    streams::registry::{StreamPermit, Transport},
};
use crate::{
    auth::Viewer,
    library::{Device, DeviceReport, Pending},
    unix_time,
    version::{Head, UserId},
};

/// Maximum number of pending changes that is reported as it is.
const MAX_PENDING: u32 = 1_000_000;

/// Latest time that a device reports, in milliseconds since the Unix epoch: the end of the year 9999.
const LATEST: i64 = 253_402_300_799_999;

/// The names of the facts: as header, and as parameter or member.
const ID: Name = Name("x-device-id", "device");
const APPLIED: Name = Name("x-library-applied", "applied");
const PENDING: Name = Name("x-library-pending", "pending");
const CLIENT: Name = Name("x-library-client", "client");
const CLOCK: Name = Name("x-library-clock", "clock");
const PLATFORM: Name = Name("x-device-platform", "platform");

#[derive(Clone, Copy)]
struct Name(&'static str, &'static str);

/// What a client reports of its device. All of it is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RequestDevice {
    id: Option<String>,
    report: DeviceReport,
    user_agent: Option<HeaderValue>,
}

impl RequestDevice {
    /// Returns the head that the device reports.
    pub fn applied(&self) -> Option<Head> {
        self.report.applied
    }

    /// Reads the headers.
    ///
    /// # Errors
    /// When one of them is invalid.
    pub fn of_headers(headers: &HeaderMap) -> Result<Self, HttpError> {
        let text = |name: Name| {
            let value = headers.get(name.0).map(|value| value.to_str());
            let invalid =
                |_| HttpError::BadRequest(format!("header `{}` must be ASCII text", name.0));
            Ok(value.transpose().map_err(invalid)?.map(str::to_owned))
        };
        let device = Self::read(text)?;
        let user_agent = headers.get(header::USER_AGENT).cloned();
        Ok(Self {
            user_agent: user_agent.filter(|_| device.id.is_some()),
            ..device
        })
    }

    /// Reads the headers of a stream's request, or the parameters of its URL.
    ///
    /// # Errors
    /// When one of them is invalid.
    pub fn of_stream(request: &Parts) -> Result<Self, HttpError> {
        let of_headers = Self::of_headers(&request.headers)?;
        if !of_headers.is_empty() {
            return Ok(of_headers);
        }
        let query = request.uri.query().unwrap_or_default();
        let parameter = |name: Name| {
            let mut parameters = url::form_urlencoded::parse(query.as_bytes());
            let found = parameters.find(|(key, _)| key == name.1);
            Ok(found.map(|(_, value)| value.into_owned()))
        };
        Ok(Self {
            user_agent: request.headers.get(header::USER_AGENT).cloned(),
            ..Self::read(parameter)?
        })
    }

    /// Reads the payload of `connection_init`.
    ///
    /// # Errors
    /// When one of them is invalid.
    pub fn of_payload(payload: Option<&Map<String, Value>>) -> Result<Self, HttpError> {
        Self::read(|name| {
            let value = payload.and_then(|payload| payload.get(name.1)?.as_str());
            Ok(value.map(str::to_owned))
        })
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.id.is_none() && self.report == DeviceReport::default()
    }

    /// Returns the id.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn read(text: impl Fn(Name) -> Result<Option<String>, HttpError>) -> Result<Self, HttpError> {
        let device = text(ID)?.map(|id| Device::new(id, None)).transpose();
        let device = device.map_err(|error| HttpError::BadRequest(error.to_string()))?;
        let applied = text(APPLIED)?.map(|text| applied(&text)).transpose()?;
        let now = unix_time::millis(OffsetDateTime::now_utc());
        let clock = text(CLOCK)?.map(|text| time_of(&text)).transpose()?;
        let clock_ahead = clock.map(|clock| clock - now);
        Ok(Self {
            id: device.map(|device| device.id().to_owned()),
            report: DeviceReport {
                applied,
                pending: text(PENDING)?.map(|text| pending(&text)).transpose()?,
                client: text(CLIENT)?.map(|text| short(CLIENT, text)).transpose()?,
                platform: text(PLATFORM)?
                    .map(|text| short(PLATFORM, text))
                    .transpose()?,
                clock_ahead,
                ..DeviceReport::default()
            },
            user_agent: None,
        })
    }
}

fn applied(text: &str) -> Result<Head, HttpError> {
    let message = "the applied head must be a head, such as 1763809200000.42";
    text.parse()
        .map_err(|_| HttpError::BadRequest(message.to_owned()))
}

/// Parses `count`, `count;oldest` or `count;oldest;code`.
fn pending(text: &str) -> Result<Pending, HttpError> {
    let message = "the pending changes must be a count, the time of the oldest in milliseconds and the code of its error, \
                   such as 3;1763809200000;UNAVAILABLE";
    let invalid = || HttpError::BadRequest(message.to_owned());
    let mut parts = text.splitn(3, ';').map(str::trim);
    let count = parts.next().and_then(|count| count.parse::<u32>().ok());
    let count = count.ok_or_else(invalid)?.min(MAX_PENDING);
    let oldest_at = parts.next().filter(|text| !text.is_empty());
    let oldest_at = oldest_at.map(time_of).transpose().map_err(|_| invalid())?;
    let error = parts.next().filter(|text| !text.is_empty());
    let is_code = |code: &str| {
        let mut bytes = code.bytes();
        code.len() <= DeviceReport::MAX
            && bytes.all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    if !error.is_none_or(is_code) {
        return Err(invalid());
    }
    Ok(Pending {
        count,
        oldest_at: oldest_at.filter(|_| count > 0),
        error: error.filter(|_| count > 0).map(str::to_owned),
    })
}

fn time_of(text: &str) -> Result<i64, HttpError> {
    let millis = text.parse().ok();
    millis
        .filter(|millis| (0..=LATEST).contains(millis))
        .ok_or_else(|| {
            let message = "the clock must be milliseconds since the Unix epoch";
            HttpError::BadRequest(message.to_owned())
        })
}

fn short(name: Name, text: String) -> Result<String, HttpError> {
    let most = DeviceReport::MAX;
    let is_line = !text.is_empty() && !text.chars().any(char::is_control);
    if is_line && text.chars().count() <= most {
        return Ok(text);
    }
    let name = name.1;
    Err(HttpError::BadRequest(format!(
        "`{name}` of a device must be one line of 1 to {most} characters"
    )))
}

impl Node {
    /// Records what a device reports, once the head was read for its session: one that is signed out reports nothing.
    pub(super) fn note_device(&self, viewer: &Viewer, device: &RequestDevice) {
        let Some(id) = &device.id else {
            return;
        };
        if let Some(applied) = device.report.applied {
            self.library.devices().report(&viewer.user, id, applied);
            self.feed.note_applied(&viewer.user, id, applied);
        }
        let mut report = device.report.clone();
        report.issued_at = viewer.issued_at;
        if report.platform.is_none() {
            let agent = device.user_agent.as_ref();
            report.platform = agent.and_then(|agent| platform(agent.to_str().ok()?));
        }
        self.library.device_log().report(&viewer.user, id, report);
    }

    /// Records that a request of a device was refused, because the token had ended.
    pub(super) fn note_ended_token(&self, user: &UserId, device: &RequestDevice) {
        if let Some(id) = &device.id {
            self.library.device_log().refuse(user, id);
        }
    }

    /// Records that a stream is open on a device, until the permit is dropped.
    pub(super) fn attended(
        &self,
        permit: StreamPermit,
        viewer: &Viewer,
        device: &RequestDevice,
        transport: Transport,
    ) -> StreamPermit {
        self.note_device(viewer, device);
        let Some(id) = &device.id else {
            return permit;
        };
        let presence = self.library.devices().attend(&viewer.user, id);
        let log = self.library.device_log();
        permit.attended(presence, log.open(&viewer.user, id, transport.into()))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use serde_json::json;

    use super::*;
    use crate::version::testing::head;

    fn of_stream(uri: &str, headers: &[(&str, &str)]) -> Result<RequestDevice, HttpError> {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        RequestDevice::of_stream(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_device_is_read_from_headers_parameters_and_payload() {
        let phone = RequestDevice {
            id: Some("phone 1".to_owned()),
            report: DeviceReport {
                applied: Some(head(7, 9)),
                ..DeviceReport::default()
            },
            user_agent: None,
        };
        let headers = [("x-device-id", "phone 1"), ("x-library-applied", "7.9")];
        assert_eq!(of_stream("/", &headers).unwrap(), phone);
        assert_eq!(
            of_stream("/?device=phone%201&applied=7.9", &[]).unwrap(),
            phone
        );
        let payload = json!({"device": "phone 1", "applied": "7.9"});
        assert_eq!(
            RequestDevice::of_payload(payload.as_object()).unwrap(),
            phone
        );
        assert_eq!(of_stream("/", &[]).unwrap(), RequestDevice::default());
    }

    #[test]
    fn the_outbox_is_a_count_a_time_and_a_code() {
        let waiting = |count, oldest_at, error: Option<&str>| Pending {
            count,
            oldest_at,
            error: error.map(str::to_owned),
        };
        for (text, expected) in [
            ("0", waiting(0, None, None)),
            ("0;5", waiting(0, None, None)),
            ("3", waiting(3, None, None)),
            ("3;1763809200000", waiting(3, Some(1_763_809_200_000), None)),
            ("3;5;UNAVAILABLE", waiting(3, Some(5), Some("UNAVAILABLE"))),
            ("3;;NOT_FOUND", waiting(3, None, Some("NOT_FOUND"))),
            ("4000000000", waiting(MAX_PENDING, None, None)),
        ] {
            assert_eq!(pending(text).unwrap(), expected, "{text}");
        }
        for wrong in ["", "x", "-1", "3;x", "3;-5", "3;5;a message", "3;5;X;Y"] {
            assert!(pending(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_clock_is_compared_with_the_servers() {
        let now = OffsetDateTime::now_utc().unix_timestamp() * 1_000;
        let clock = (now + 600_000).to_string();
        let headers = [("x-device-id", "phone"), ("x-library-clock", &*clock)];
        let ahead = of_stream("/", &headers)
            .unwrap()
            .report
            .clock_ahead
            .unwrap();
        assert!((598_000..=600_000).contains(&ahead), "{ahead}");
    }

    #[test]
    fn an_invalid_device_is_refused() {
        let long = "x".repeat(Device::MAX + 1);
        for headers in [
            [("x-device-id", "")],
            [("x-device-id", &long)],
            [("x-library-applied", "9")],
            [("x-library-pending", "many")],
            [("x-library-clock", "now")],
            [("x-library-client", &long)],
            [("x-device-platform", "")],
        ] {
            let refused = of_stream("/", &headers).unwrap_err();
            assert_eq!(refused.code(), "BAD_REQUEST", "{headers:?}");
        }
    }
}
