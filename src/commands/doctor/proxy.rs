//! The proxy in front of a running server, by requests to its public address: how they arrive at the server.

use std::time::Duration;

use reqwest::{Client, StatusCode, header};
use serde::Deserialize;
use url::Url;

use super::{
    finding::{Check, Finding},
    proxy_streams, remedy,
    target::Target,
};
use crate::{
    auth::{self, Rules},
    commands::remote_server::{self, RemoteServer},
    config::{Examination, Serve},
    error_chain::in_one_line,
    version::UserId,
};

const REACHABLE: Check = Check("proxy.reachable");
const HOST: Check = Check("proxy.host");
const ADDRESS: Check = Check("proxy.client_address");

/// The user of the doctor's own token. Following a user's version stores nothing.
const USER: &str = "library-sync doctor";

/// Lifetime of the doctor's own token.
const TOKEN_LIFE: Duration = Duration::from_mins(5);

/// An address of documentation (RFC 5737), which no client has.
const SPOOFED: &str = "192.0.2.77";

/// The answer of `GET /api/connection`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arrived {
    host: Option<String>,
    address: Option<String>,
    address_from: String,
    forwarded: bool,
}

pub(super) async fn examine(serve: &Serve, examination: &Examination) -> Vec<Finding> {
    let Some(url) = &examination.url else {
        return vec![
            REACHABLE.skipped("give --url to examine the proxy in front of a running server"),
        ];
    };
    let limit = examination.deadline;
    let client = remote_server::client();
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            return vec![REACHABLE.failed(in_one_line(&error), "repair the TLS configuration")];
        }
    };
    let reachable = REACHABLE.within(limit, reachable(url, &client)).await;
    if reachable.fix.is_some() {
        return vec![reachable];
    }
    let Some(token) = token(serve, examination) else {
        let rest = "not examined without a token: give --token";
        return vec![reachable, HOST.skipped(rest), ADDRESS.skipped(rest)];
    };
    let target = Target {
        server: RemoteServer::new(url.clone(), token, client),
        heartbeat: serve.streams.heartbeat,
    };
    let (streams, host, address) = tokio::join!(
        proxy_streams::examine(&target, limit),
        HOST.within(limit, host(&target)),
        ADDRESS.within(limit, client_address(serve, &target)),
    );
    [vec![reachable], streams, vec![host, address]].concat()
}

/// Returns the given token, or one that is signed with the server's secret.
fn token(serve: &Serve, examination: &Examination) -> Option<String> {
    if let Some(token) = &examination.token {
        return Some(token.0.clone());
    }
    let secret = serve.keys.jwt_secret.as_ref()?;
    let rules = Rules {
        issuer: serve.keys.jwt_issuer.clone(),
        audience: serve.keys.jwt_audience.clone(),
        ..Rules::default()
    };
    let user = UserId::new(USER).ok()?;
    auth::mint(secret.0.as_bytes(), &rules, &user, TOKEN_LIFE).ok()
}

/// Only library-sync answers its version check without a token in this way.
async fn reachable(url: &Url, client: &Client) -> Finding {
    let answer = match url.join("api/library-version") {
        Ok(address) => client.get(address).send().await,
        Err(error) => return REACHABLE.failed(error, "correct --url"),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let error = in_one_line(&error.without_url());
            let fix = remedy::of_connection(&error, "--url");
            return REACHABLE.failed(format!("{url}: {error}"), fix);
        }
    };
    let asks_for_token = answer.headers().contains_key(header::WWW_AUTHENTICATE);
    match answer.status() {
        StatusCode::UNAUTHORIZED if asks_for_token => {
            REACHABLE.ok(format!("{url} leads to library-sync"))
        }
        status @ (StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT) => REACHABLE.failed(
            format!("{url} answers {status}: the proxy does not reach the server"),
            "correct the server's address in the proxy, or start the server",
        ),
        status => REACHABLE.failed(
            format!("{url} answers {status}, not as library-sync does"),
            "correct --url, or the route in the proxy: it must lead to library-sync",
        ),
    }
}

/// Asks the server how a request arrived.
async fn arrived(target: &Target, spoofed: Option<&str>) -> Result<Arrived, String> {
    let mut request = target.server.get("api/connection")?;
    if let Some(header) = spoofed {
        request = request.header(header, SPOOFED);
    }
    let answer = request.send().await;
    let answer = answer.map_err(|error| in_one_line(&error.without_url()))?;
    match answer.status() {
        StatusCode::OK => {
            let arrived = answer.json().await;
            arrived.map_err(|error| in_one_line(&error.without_url()))
        }
        StatusCode::UNAUTHORIZED => {
            Err("the server refuses the token: give another --token".to_owned())
        }
        status => Err(format!("/api/connection answers {status}")),
    }
}

async fn host(target: &Target) -> Finding {
    let arrived = match arrived(target, None).await {
        Ok(arrived) => arrived,
        Err(error) => return HOST.failed(error, "let /api/connection pass the proxy"),
    };
    let sent = target.server.url.host_str().unwrap_or_default();
    let sent = match target.server.url.port() {
        Some(port) => format!("{sent}:{port}"),
        None => sent.to_owned(),
    };
    let seen = arrived.host.unwrap_or_default();
    if seen.eq_ignore_ascii_case(&sent) {
        HOST.ok(format!("the server sees {seen}"))
    } else {
        HOST.failed(
            format!("the server sees the host {seen:?} instead of {sent:?}, so it refuses the cookies of its pages"),
            "forward Host with its port: `proxy_set_header Host $http_host` in nginx",
        )
    }
}

async fn client_address(serve: &Serve, target: &Target) -> Finding {
    let configured = serve.http.rate.client_address_header.as_ref();
    let header = configured.map_or("x-forwarded-for", |name| name.as_str());
    let (plain, spoofed) = match (
        arrived(target, None).await,
        arrived(target, Some(header)).await,
    ) {
        (Ok(plain), Ok(spoofed)) => (plain, spoofed),
        (Err(error), _) | (_, Err(error)) => {
            return ADDRESS.failed(error, "let /api/connection pass the proxy");
        }
    };
    let seen = plain.address.unwrap_or_default();
    if spoofed.address.as_deref() == Some(SPOOFED) {
        return ADDRESS.failed(
            format!("a client chooses its own address by the header {header}"),
            "let the proxy set or append the header, and let no client reach the server around the proxy",
        );
    }
    if plain.forwarded && plain.address_from != "header" {
        return ADDRESS.failed(
            format!("the server takes {seen} for the address of every client: that of the proxy"),
            "set --client-address-header to the header in which the proxy sends the client's address",
        );
    }
    ADDRESS.ok(format!("the server sees {seen}"))
}
