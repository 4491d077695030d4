//! `GET /api/library-export`: the user's library with its history, as a file of JSON Lines.
//!
//! A link in a page sends no header, so it names a ticket of the mutation `exportLibrary` in `?ticket=`.
//!
//! **Invariant:** the response has a `Content-Length`, so a client detects a download that was cut off.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Method, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::stream;
use tokio::{fs::File, io::AsyncReadExt as _};

use crate::{
    http::{error::HttpError, state::Node},
    library::{self, Archive},
};

/// Bytes that are read from the file at once.
const CHUNK: usize = 64 << 10;

/// `GET` and `HEAD /api/library-export`.
pub(in crate::http) async fn export(
    State(node): State<Node>,
    request: Request,
) -> Result<Response, HttpError> {
    let (parts, _) = request.into_parts();
    let viewer = node.authenticate_export(&parts).await?;
    // Refuses a session that is signed out, and creates the user at their first request.
    node.viewer_head(&viewer, &parts.headers, None).await?;
    let (name, length, body) = if parts.method == Method::HEAD {
        (String::new(), None, Body::empty())
    } else {
        let archive = node.library.export_archive(&viewer.user).await?;
        let missing = || library::Error::fault("the user's row is missing");
        let Archive { head, file, bytes } = archive.ok_or_else(missing)?;
        let name = format!("; filename=\"library-{head}.jsonl\"");
        (name, Some(bytes), chunks(file))
    };
    let mut headers = vec![
        (header::CONTENT_TYPE, "application/x-ndjson".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment{name}")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    headers.extend(length.map(|bytes| (header::CONTENT_LENGTH, bytes.to_string())));
    let mut response = body.into_response();
    for (name, value) in headers {
        let value = value.try_into().map_err(library::Error::fault)?;
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// Reads a file as a body.
fn chunks(file: std::fs::File) -> Body {
    let chunk = async |mut file: File| {
        let mut chunk = vec![0; CHUNK];
        let read = file.read(&mut chunk).await?;
        chunk.truncate(read);
        Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(chunk), file)))
    };
    Body::from_stream(stream::try_unfold(File::from_std(file), chunk))
}
