//! The HTTP client for push services, whose addresses users choose.
//!
//! **Invariant:** a host name is resolved once for a connection, and the connection goes to an address of that answer. If
//! any address of the answer is not on the internet, no connection is opened. So DNS cannot change between check and use.
//! **Invariant:** no redirect is followed, no proxy is used, and at most [`MAX_RESPONSE`] bytes are read.

use std::{
    error::Error as _,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::BoxFuture;
use reqwest::{
    Client, RequestBuilder, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{HeaderMap, RETRY_AFTER},
    redirect::Policy,
};
use tokio::net::lookup_host;

use super::{limits::MAX_RESPONSE, push_service::is_public};

/// Resolves a host name.
pub(super) type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Returns the client for addresses that users choose.
pub(super) fn client(timeout: Duration) -> reqwest::Result<Client> {
    let lookup: Lookup =
        Arc::new(|host| Box::pin(async move { Ok(lookup_host((host, 0)).await?.collect()) }));
    client_with(timeout, lookup, is_public)
}

/// Returns a client with a resolver and a rule for addresses.
pub(super) fn client_with(
    timeout: Duration,
    lookup: Lookup,
    is_allowed: fn(IpAddr) -> bool,
) -> reqwest::Result<Client> {
    Client::builder()
        .timeout(timeout)
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .dns_resolver(CheckedResolver { lookup, is_allowed })
        .build()
}

/// Returns the client for the webhook, whose address the operator chooses.
pub(super) fn trusted_client(timeout: Duration) -> reqwest::Result<Client> {
    let builder = Client::builder().timeout(timeout);
    builder.redirect(Policy::none()).referer(false).build()
}

struct CheckedResolver {
    lookup: Lookup,
    is_allowed: fn(IpAddr) -> bool,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = (self.lookup)(name.as_str().to_owned());
        let is_allowed = self.is_allowed;
        Box::pin(async move {
            let found = found.await?;
            if found.is_empty() || !found.iter().all(|address| is_allowed(address.ip())) {
                return Err(PrivateAddress.into());
            }
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

/// The host name does not lead to the internet.
#[derive(Debug, thiserror::Error)]
#[error("the host name leads to a private address")]
struct PrivateAddress;

/// What a server answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Response {
    /// A status, and the time that `Retry-After` asks to wait.
    Status(StatusCode, Option<Duration>),
    /// The host name leads to a private address.
    Private,
    /// No answer.
    Unreachable,
}

impl Response {
    /// Returns the status, if there was an answer.
    pub fn status(self) -> Option<StatusCode> {
        match self {
            Self::Status(status, _) => Some(status),
            Self::Private | Self::Unreachable => None,
        }
    }
}

/// Sends a request and reads the start of its answer.
pub(super) async fn send(request: RequestBuilder) -> Response {
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) if is_private(&error) => return Response::Private,
        Err(_) => return Response::Unreachable,
    };
    let answer = Response::Status(response.status(), retry_after(response.headers()));
    // A body that was read to its end lets the connection be reused. Any other ends it.
    let mut read = 0;
    while read < MAX_RESPONSE
        && let Ok(Some(chunk)) = response.chunk().await
    {
        read += chunk.len();
    }
    answer
}

/// Why a server cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnreachableService {
    /// Its name leads to a private address.
    #[error("its name leads to a private address")]
    Private,
    /// It does not answer.
    #[error("it does not answer")]
    Silent,
}

/// Sends a request of which only the arrival matters, and returns the status of the answer.
pub(super) async fn reach(request: RequestBuilder) -> Result<u16, UnreachableService> {
    match send(request).await {
        Response::Status(status, _) => Ok(status.as_u16()),
        Response::Private => Err(UnreachableService::Private),
        Response::Unreachable => Err(UnreachableService::Silent),
    }
}

fn is_private(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<PrivateAddress>() {
            return true;
        }
        source = cause.source();
    }
    false
}

/// Returns the time that `Retry-After` asks to wait, as seconds or as one of the formats of a date (RFC 9110, sections
/// 10.2.3 and 5.6.7). `None` if it is missing or has another format.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// A server that answers with `head` and a body without an end. Counts the bytes that it could send.
    async fn server(
        ip: &str,
        port: u16,
        head: &'static str,
    ) -> (u16, Arc<AtomicUsize>, Arc<AtomicUsize>) {
        let listener = TcpListener::bind((ip, port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (requests, bytes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, sent) = (requests.clone(), bytes.clone());
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (counted, sent) = (counted.clone(), sent.clone());
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    let _ = socket.read(&mut buffer).await;
                    counted.fetch_add(1, Ordering::SeqCst);
                    let _ = socket.write_all(head.as_bytes()).await;
                    while socket.write_all(&[b'x'; 1024]).await.is_ok() {
                        sent.fetch_add(1024, Ordering::SeqCst);
                    }
                });
            }
        });
        (port, requests, bytes)
    }

    /// Stands for the internet.
    const PUBLIC: &str = "127.0.0.2";

    fn is_test_public(ip: IpAddr) -> bool {
        ip == PUBLIC.parse::<IpAddr>().unwrap()
    }

    /// Answers the first question with one list of addresses, and all later ones with another.
    fn changing(
        first: &'static [&'static str],
        later: &'static [&'static str],
    ) -> (Lookup, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let lookup: Lookup = Arc::new(move |_| {
            let answer = if count.fetch_add(1, Ordering::SeqCst) == 0 {
                first
            } else {
                later
            };
            let addresses = answer
                .iter()
                .map(|ip| SocketAddr::new(ip.parse().unwrap(), 0));
            let addresses = addresses.collect();
            Box::pin(async move { Ok(addresses) })
        });
        (lookup, asked)
    }

    fn install_crypto() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }

    const TIMEOUT: Duration = Duration::from_secs(5);
    const CLOSE: &str = "HTTP/1.1 201 Created\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn dns_rebinding_after_the_check_has_no_effect() {
        install_crypto();
        let (port, public, _) = server(PUBLIC, 0, CLOSE).await;
        let (_, private, _) = server("127.0.0.1", port, CLOSE).await;
        let (lookup, asked) = changing(&[PUBLIC], &["127.0.0.1"]);
        let client = client_with(TIMEOUT, lookup, is_test_public).unwrap();
        let url = format!("http://push.example:{port}/");
        let answer = send(client.post(&url)).await;
        assert_eq!(answer, Response::Status(StatusCode::CREATED, None));
        let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        assert_eq!((count(&asked), count(&public), count(&private)), (1, 1, 0));
        assert_eq!(send(client.post(&url)).await, Response::Private);
        assert_eq!((count(&asked), count(&public), count(&private)), (2, 1, 0));
    }

    #[tokio::test]
    async fn one_private_address_among_others_refuses_the_host() {
        install_crypto();
        let (port, public, _) = server(PUBLIC, 0, CLOSE).await;
        let (lookup, _) = changing(&[PUBLIC, "10.0.0.1"], &[]);
        let client = client_with(TIMEOUT, lookup, is_test_public).unwrap();
        let url = format!("http://push.example:{port}/");
        assert_eq!(send(client.post(&url)).await, Response::Private);
        assert_eq!(
            send(client.post(&url)).await,
            Response::Private,
            "no address at all"
        );
        assert_eq!(public.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn the_system_resolver_does_not_lead_to_a_private_address() {
        install_crypto();
        let client = client(TIMEOUT).unwrap();
        assert_eq!(
            send(client.post("https://localhost:1/")).await,
            Response::Private
        );
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        install_crypto();
        let head = "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.2:1/\r\ncontent-length: 0\r\n\r\n";
        let (port, requests, _) = server(PUBLIC, 0, head).await;
        let client = client(TIMEOUT).unwrap();
        let answer = send(client.post(format!("http://{PUBLIC}:{port}/"))).await;
        assert_eq!(
            answer,
            Response::Status(StatusCode::TEMPORARY_REDIRECT, None)
        );
        assert_eq!(requests.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_endless_response_is_aborted() {
        install_crypto();
        let (port, _, bytes) = server(PUBLIC, 0, "HTTP/1.1 201 Created\r\n\r\n").await;
        let client = client(TIMEOUT).unwrap();
        let began = std::time::Instant::now();
        let answer = send(client.post(format!("http://{PUBLIC}:{port}/"))).await;
        assert_eq!(answer, Response::Status(StatusCode::CREATED, None));
        assert!(began.elapsed() < TIMEOUT);
        // The rest is in the buffers of the sockets.
        assert!(bytes.load(Ordering::SeqCst) < 32 << 20);
    }

    #[tokio::test]
    async fn a_silent_server_is_unreachable_after_the_timeout() {
        install_crypto();
        let listener = TcpListener::bind((PUBLIC, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = client(Duration::from_millis(200)).unwrap();
        let answer = send(client.post(format!("http://{PUBLIC}:{port}/"))).await;
        assert_eq!(answer, Response::Unreachable);
    }

    #[test]
    fn retry_after_is_read_in_both_formats() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(read("120"), Some(Duration::from_mins(2)));
        for past in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(read(past), Some(Duration::ZERO), "{past}");
        }
        for future in [
            "Wed, 01 Jan 2110 00:00:00 GMT",
            "315360000",
            &"9".repeat(40),
        ] {
            assert!(read(future) > Some(Duration::from_hours(24)), "{future}");
        }
        for garbage in ["", "soon", "-5", "+5", "1.5", "1e3", "0x10", "99999-01-01"] {
            assert_eq!(read(garbage), None, "{garbage}");
        }
    }
}
