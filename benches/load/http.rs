//! A minimal HTTP/1.1 client, so that the load program uses little of the machine that it measures.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, timeout},
};

/// The deadline of a response. Some programs to compare with take long for a large library.
const LIMIT: Duration = Duration::from_mins(2);

/// A connection to a node.
pub struct Connection {
    socket: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    pub async fn open(port: u16) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Self {
            socket,
            received: Vec::new(),
        }
    }

    pub async fn send(&mut self, request: impl AsRef<[u8]>) {
        self.socket.write_all(request.as_ref()).await.unwrap();
    }

    /// Receives until `end`, and returns the text before it and `end` itself. Frames of a WebSocket are not all text.
    pub async fn until(&mut self, end: &str) -> String {
        loop {
            let found = self
                .received
                .windows(end.len())
                .position(|text| text == end.as_bytes());
            if let Some(found) = found {
                let text: Vec<u8> = self.received.drain(..found + end.len()).collect();
                return String::from_utf8_lossy(&text).into_owned();
            }
            self.receive().await;
        }
    }

    /// Sends a request, and returns the body of its response.
    ///
    /// # Panics
    /// On any status that is not a success, and after a deadline.
    pub async fn ask(&mut self, request: &str) -> String {
        let response = async {
            self.send(request).await;
            let head = self.until("\r\n\r\n").await;
            assert!(head.starts_with("HTTP/1.1 20"), "{head}");
            let length = content_length(&head).unwrap_or_else(|| panic!("{head}"));
            while self.received.len() < length {
                self.receive().await;
            }
            let body: Vec<u8> = self.received.drain(..length).collect();
            String::from_utf8(body).unwrap()
        };
        let response = timeout(LIMIT, response).await;
        response.unwrap_or_else(|_| panic!("no response within {LIMIT:?}: {request}"))
    }

    async fn receive(&mut self) {
        let count = self.socket.read_buf(&mut self.received).await.unwrap();
        assert!(count > 0, "the node closed the connection");
    }
}

fn content_length(head: &str) -> Option<usize> {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    let (_, length) = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    length.parse().ok()
}

/// A GET request with a token.
pub fn get(path: &str, token: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n")
}

/// A GraphQL request with a token.
pub fn graphql(query: &str, token: &str) -> String {
    post(&serde_json::json!({ "query": query }), token)
}

/// A GraphQL request with variables and a token.
pub fn graphql_with(query: &str, variables: &serde_json::Value, token: &str) -> String {
    let body = serde_json::json!({"query": query, "variables": variables});
    post(&body, token)
}

/// A request to the GraphQL endpoint, with a body and a token.
pub fn post(body: &serde_json::Value, token: &str) -> String {
    let body = body.to_string();
    format!(
        "POST /graphql HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sends requests on `connections` connections for `duration`. Returns the responses per second.
pub async fn rate(
    port: u16,
    connections: usize,
    duration: Duration,
    request: impl Fn(usize, usize) -> String + Clone + Send + 'static,
) -> f64 {
    let mut running = JoinSet::new();
    let began = Instant::now();
    for connection in 0..connections {
        let request = request.clone();
        running.spawn(async move {
            let mut to = Connection::open(port).await;
            let mut count = 0;
            while began.elapsed() < duration {
                let body = to.ask(&request(connection, count)).await;
                assert!(!body.contains("\"errors\""), "{body}");
                count += 1;
            }
            count
        });
    }
    let count: usize = running.join_all().await.into_iter().sum();
    per_second(count, began.elapsed())
}

/// Sends the requests of `request` for 0 to `count` on a few connections. Returns the bodies of the responses, in order.
pub async fn ask_all(port: u16, count: usize, request: impl Fn(usize) -> String) -> Vec<String> {
    const CONNECTIONS: usize = 16;
    let requests: Vec<_> = (0..count).map(request).collect();
    let mut asking = Vec::new();
    for requests in requests.chunks(count.div_ceil(CONNECTIONS).max(1)) {
        let requests = requests.to_vec();
        asking.push(tokio::spawn(async move {
            let mut connection = Connection::open(port).await;
            let mut bodies = Vec::new();
            for request in requests {
                let body = connection.ask(&request).await;
                assert!(!body.contains("\"errors\""), "{body}");
                bodies.push(body);
            }
            bodies
        }));
    }
    let mut bodies = Vec::new();
    for asked in asking {
        bodies.extend(asked.await.unwrap());
    }
    bodies
}

/// The version in the answer of a mutation.
pub fn version(body: &str) -> i64 {
    let (_, version) = body.split_once("\"libraryVersion\":").unwrap();
    let digits = version.split(|c: char| !c.is_ascii_digit()).next();
    digits.unwrap().parse().unwrap()
}

/// A rate.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn per_second(count: usize, duration: Duration) -> f64 {
    count as f64 / duration.as_secs_f64()
}
