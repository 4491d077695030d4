//! [`ConsecutiveFailures`]: which failure of a task that repeats is the first in a row, so that they are one log line.

use super::error::Error;

/// Whether the last attempt of a task failed.
#[derive(Debug, Default)]
pub struct ConsecutiveFailures {
    is_failing: bool,
}

impl ConsecutiveFailures {
    /// Notes the outcome of an attempt. Returns its error if the attempt before did not fail.
    pub fn first<'a, T>(&mut self, attempt: &'a Result<T, Error>) -> Option<&'a Error> {
        let was_failing = std::mem::replace(&mut self.is_failing, attempt.is_err());
        attempt.as_ref().err().filter(|_| !was_failing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_of_consecutive_failures_is_returned() {
        let failed = || Err::<(), _>(Error::fault("a failure"));
        let attempts = [Ok(()), failed(), failed(), Ok(()), failed()];
        let mut failures = ConsecutiveFailures::default();
        let first = attempts.map(|attempt| failures.first(&attempt).is_some());
        assert_eq!(first, [false, true, false, false, true]);
    }
}
