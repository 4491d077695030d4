//! The outcome of a run as Prometheus text, for the textfile collector of node_exporter.

use std::{
    fmt::Write as _,
    fs::Permissions,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What a run measured.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// Seconds until the answer of the write.
    pub write: Option<Duration>,
    /// The node, the transport and the time from the request to the event. `None` if it did not arrive.
    pub events: Vec<(String, &'static str, Option<Duration>)>,
}

impl Measured {
    /// Returns whether the change was made and arrived everywhere.
    pub fn is_complete(&self) -> bool {
        self.write.is_some() && self.events.iter().all(|(_, _, time)| time.is_some())
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let up = "library_sync_canary_up";
        begin(
            &mut text,
            up,
            "1 if the change arrived over this transport of this node.",
        );
        for (node, transport, time) in &self.events {
            let labels = labels(node, transport);
            let _ = writeln!(text, "{up}{labels} {}", u8::from(time.is_some()));
        }
        let time = "library_sync_canary_event_seconds";
        begin(
            &mut text,
            time,
            "Seconds from the request of the change to its event.",
        );
        for (node, transport, took) in &self.events {
            if let Some(took) = took {
                let labels = labels(node, transport);
                let _ = writeln!(text, "{time}{labels} {}", took.as_secs_f64());
            }
        }
        if let Some(took) = self.write {
            let write = "library_sync_canary_write_seconds";
            begin(&mut text, write, "Seconds until the change was answered.");
            let _ = writeln!(text, "{write} {}", took.as_secs_f64());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let run = "library_sync_canary_run_timestamp_seconds";
        begin(&mut text, run, "Time of the run.");
        let _ = writeln!(text, "{run} {}", now.unwrap_or_default().as_secs());
        text
    }

    /// Replaces the file at once, so that the collector never reads a half.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new()
            .prefix(".library-sync-canary-")
            // The collector runs as another user.
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(folder)?;
        file.write_all(self.text().as_bytes())?;
        file.persist(path)?;
        Ok(())
    }
}

/// Begins a gauge.
fn begin(text: &mut String, name: &str, help: &str) {
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
}

fn labels(node: &str, transport: &str) -> String {
    format!("{{node=\"{}\",transport=\"{transport}\"}}", escaped(node))
}

/// Escapes the value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_arrive_is_down_and_has_no_time() {
        let measured = Measured {
            write: Some(Duration::from_millis(20)),
            events: vec![
                (
                    "http://a/".to_owned(),
                    "events",
                    Some(Duration::from_millis(5)),
                ),
                ("http://b/".to_owned(), "sse", None),
            ],
        };
        let text = measured.text();
        for line in [
            r#"library_sync_canary_up{node="http://a/",transport="events"} 1"#,
            r#"library_sync_canary_up{node="http://b/",transport="sse"} 0"#,
            r#"library_sync_canary_event_seconds{node="http://a/",transport="events"} 0.005"#,
            "library_sync_canary_write_seconds 0.02",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}: {text}");
        }
        assert!(!text.contains(r#"seconds{node="http://b/""#), "{text}");
        assert!(!measured.is_complete());
    }
}
