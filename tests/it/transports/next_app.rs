//! A Next.js app in front of the server, built and started with the configuration that the docs print.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    support::{
        printed,
        programs::Finish as _,
        servers::free_port,
        test_app::{Db, EventStream, SECRET, TestApp, soon, token},
    },
    transports::clients,
};

const PAGE: &str = "docs/moving-from-the-older-app.md";
/// The address of the server in the docs.
const PRINTED_ADDRESS: &str = "http://127.0.0.1:4000";
/// A build takes 10 s on two idle cores.
const BUILD_DEADLINE: Duration = Duration::from_mins(3);

/// The app: a page, a static route at one of the server's paths, and a dynamic route for its own procedures.
const APP: [(&str, &str); 4] = [
    (
        "app/layout.jsx",
        "export default function Layout({ children }) { return <html lang='en'><body>{children}</body></html>; }",
    ),
    (
        "app/page.jsx",
        "export default function Page() { return <p>the app</p>; }",
    ),
    (
        "app/api/library-version-events/route.js",
        "export const dynamic = 'force-dynamic'; export const GET = () => new Response('the app');",
    ),
    (
        "app/api/trpc/[trpc]/route.js",
        "export const GET = async (_, { params }) => new Response(`the app: ${(await params).trpc}`);",
    ),
];

fn next(app: &Path, arguments: &[&str]) -> Command {
    let mut next = Command::new("node");
    next.arg(clients::folder().join("node_modules/next/dist/bin/next"))
        .args(arguments)
        .current_dir(app)
        .env("NEXT_TELEMETRY_DISABLED", "1");
    next
}

async fn build(app: &Path) {
    let mut building = next(app, &["build"]);
    let built = tokio::task::spawn_blocking(move || building.finish_within(BUILD_DEADLINE)).await;
    let Output {
        status,
        stdout,
        stderr,
    } = built.unwrap();
    let output = [stdout, stderr].concat();
    assert!(status.success(), "{}", String::from_utf8_lossy(&output));
}

/// A running app, which ends when this is dropped.
struct NextApp(Child);

impl NextApp {
    /// Starts the app and waits until its page responds.
    async fn start(app: &Path, port: u16, http: &reqwest::Client) -> Self {
        let mut start = next(app, &["start", "-p", &port.to_string()]);
        let child = start
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self(child);
        let page = format!("http://127.0.0.1:{port}/");
        let begun = Instant::now();
        while http.get(&page).send().await.is_err() {
            assert!(begun.elapsed() < BUILD_DEADLINE, "the app does not start");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        started
    }
}

impl Drop for NextApp {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_next_app_with_the_documented_configuration_forwards_streams_and_calls() {
    let port = free_port();
    let origin = format!("http://127.0.0.1:{port}");
    let flags = [
        "--jwt-secret",
        SECRET,
        "--authjs-secret",
        "app",
        "--allowed-origins",
        &origin,
    ];
    let app = TestApp::start_with(Db::Sqlite, &flags).await;
    let folder = tempfile::Builder::new()
        .prefix(".next-app-")
        .tempdir_in(clients::folder())
        .unwrap();
    let [config] = printed::blocks(PAGE, "mjs").try_into().unwrap();
    assert!(config.contains(PRINTED_ADDRESS));
    let config = config.replace(PRINTED_ADDRESS, &app.base);
    for (path, text) in APP
        .into_iter()
        .chain([("next.config.mjs", config.as_str())])
    {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    build(folder.path()).await;
    let _next = NextApp::start(folder.path(), port, &app.http).await;

    let mut stream = EventStream::open(&app.http, &origin, &token("ann")).await;
    assert_eq!(stream.next().await.unwrap()["type"], "connected");
    let change = r#"mutation { createTag(input: {name: "a"}) { libraryVersion } }"#;
    let cookies = clients::output(&["authjs-cookies.mjs", "app", "ann"]).await;
    let cookie = cookies[0]["plain"].as_str().unwrap();
    let request = app
        .http
        .post(format!("{origin}/graphql"))
        .header("cookie", cookie);
    let request = request
        .header("origin", &origin)
        .json(&json!({"query": change}));
    assert_eq!(
        soon("a response", request.send()).await.unwrap().status(),
        200
    );
    assert_eq!(stream.until(2).await, [2]);
    let outcomes = clients::output(&["trpc.mjs", &origin, &token("ann")]).await;
    for outcome in outcomes {
        assert_eq!(outcome["version"], 2, "{outcome}");
    }
    let other = app.http.get(format!("{origin}/api/trpc/story.all"));
    let other = soon("a response", other.send()).await.unwrap();
    assert_eq!(other.text().await.unwrap(), "the app: story.all");
}
