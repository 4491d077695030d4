//! The device of a request or stream: its id, and the head that its screen reflects.
//!
//! | where | id | head |
//! |---|---|---|
//! | headers of any request | `X-Device-Id` | `X-Library-Applied` |
//! | parameters of a stream's URL, because `EventSource` sends no headers | `device` | `applied` |
//! | payload of `connection_init` | `device` | `applied` |
//!
//! In the flow: the library decides by it which devices get push messages.

use axum::http::{HeaderMap, request::Parts};
use serde_json::{Map, Value};

use super::{error::HttpError, state::Node, streams::registry::StreamPermit};
use crate::{
    library::Device,
    version::{Head, UserId},
};

/// What a client reports of its device. Both are optional.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RequestDevice {
    id: Option<String>,
    applied: Option<Head>,
}

impl RequestDevice {
    /// Reads the headers.
    ///
    /// # Errors
    /// When one of them is invalid.
    pub fn of_headers(headers: &HeaderMap) -> Result<Self, HttpError> {
        let text = |name: &'static str| {
            let value = headers.get(name).map(|value| value.to_str());
            value
                .transpose()
                .map_err(|_| HttpError::BadRequest(format!("header `{name}` must be ASCII text")))
        };
        Self::read(text("x-device-id")?, text("x-library-applied")?)
    }

    /// Reads the headers of a stream's request, or the parameters of its URL.
    ///
    /// # Errors
    /// When one of them is invalid.
    pub fn of_stream(request: &Parts) -> Result<Self, HttpError> {
        let of_headers = Self::of_headers(&request.headers)?;
        if of_headers != Self::default() {
            return Ok(of_headers);
        }
        let query = request.uri.query().unwrap_or_default();
        let parameter = |name: &str| {
            let mut parameters = url::form_urlencoded::parse(query.as_bytes());
            parameters
                .find(|(key, _)| key == name)
                .map(|(_, value)| value)
        };
        Self::read(
            parameter("device").as_deref(),
            parameter("applied").as_deref(),
        )
    }

    /// Reads the payload of `connection_init`.
    ///
    /// # Errors
    /// When one of them is invalid.
    pub fn of_payload(payload: Option<&Map<String, Value>>) -> Result<Self, HttpError> {
        let text = |name: &str| payload.and_then(|payload| payload.get(name)?.as_str());
        Self::read(text("device"), text("applied"))
    }

    fn read(id: Option<&str>, applied: Option<&str>) -> Result<Self, HttpError> {
        let invalid = |message: String| HttpError::BadRequest(message);
        let device = id.map(|id| Device::new(id.to_owned(), None));
        let device = device
            .transpose()
            .map_err(|error| invalid(error.to_string()))?;
        let applied = applied.map(str::parse).transpose();
        let applied = applied.map_err(|_| {
            invalid("the applied head must be a head, such as 1763809200000.42".to_owned())
        })?;
        Ok(Self {
            id: device.map(|device| device.id().to_owned()),
            applied,
        })
    }
}

impl Node {
    /// Records the head that a device reports.
    pub(super) fn note_device(&self, user: &UserId, device: &RequestDevice) {
        if let (Some(id), Some(applied)) = (&device.id, device.applied) {
            self.library.devices().report(user, id, applied);
        }
    }

    /// Records that a stream is open on a device, until the permit is dropped.
    pub(super) fn attended(
        &self,
        permit: StreamPermit,
        user: &UserId,
        device: &RequestDevice,
    ) -> StreamPermit {
        self.note_device(user, device);
        match &device.id {
            Some(id) => permit.attended(self.library.devices().attend(user, id)),
            None => permit,
        }
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
            applied: Some(head(7, 9)),
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
    fn an_invalid_device_is_refused() {
        let long = "x".repeat(Device::MAX + 1);
        for headers in [
            [("x-device-id", "")],
            [("x-device-id", &long)],
            [("x-library-applied", "9")],
        ] {
            let refused = of_stream("/", &headers).unwrap_err();
            assert_eq!(refused.code(), "BAD_REQUEST", "{headers:?}");
        }
    }
}
