//! Runs programs to completion, with a deadline.

use std::{
    io::Read,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Output, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::support::servers::kill_process_group;

/// The default deadline of a program. Some compare two databases on a busy machine.
const LIMIT: Duration = Duration::from_mins(2);

/// Runs a command to completion like [`Command::output`], which has no deadline.
pub trait Finish {
    /// Runs the command without input. Kills its process group and panics if it exceeds the deadline.
    fn finish(&mut self) -> Output {
        self.finish_within(LIMIT)
    }

    fn finish_within(&mut self, limit: Duration) -> Output;
}

impl Finish for Command {
    fn finish_within(&mut self, limit: Duration) -> Output {
        self.stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let child = self.spawn();
        let child = child.unwrap_or_else(|error| panic!("{self:?}: {error}"));
        finished(child, limit).unwrap_or_else(|| panic!("{self:?}: not within {limit:?}"))
    }
}

/// Waits for a program, and returns its piped output. Kills it after `limit` and returns `None`.
pub fn finished(mut child: Child, limit: Duration) -> Option<Output> {
    drop(child.stdin.take());
    let stdout = child.stdout.take().map(read);
    let stderr = child.stderr.take().map(read);
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > limit {
            kill_process_group(&mut child);
            let _ = child.kill();
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    };
    let all = |reading: Option<JoinHandle<Vec<u8>>>| {
        reading.map_or_else(Vec::new, |reading| reading.join().unwrap())
    };
    Some(Output {
        status,
        stdout: all(stdout),
        stderr: all(stderr),
    })
}

fn read(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}
