//! The score of an entry: the sum of its uses, each of which loses half of its weight in 14 days.
//!
//! Forward decay (Cormode, Shkapenyuk, Srivastava and Xu, "Forward Decay", ICDE 2009): a use at time t weighs
//! 2^(t / half-life), so that sums grow instead of decaying. The order of two sums is the same at any later time.
//!
//! A sum is kept as a time: that of the single use that weighs as much. It is an integer, so both databases and an archive
//! hold it exactly, and it does not overflow.

use std::time::Duration;

/// Time in which a use loses half of its weight.
const HALF_LIFE: Duration = Duration::from_hours(14 * 24);

/// The sum of the uses of an entry: the time, in milliseconds, of the single use that weighs as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsageScore(i64);

impl UsageScore {
    /// Returns the score of one use, at a time in milliseconds.
    pub const fn of_use(at: i64) -> Self {
        Self(at)
    }

    /// Wraps a stored score.
    pub(super) const fn stored(millis: i64) -> Self {
        Self(millis)
    }

    /// Returns the number to store.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Adds the uses of another score.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "differences are exact below 2^53 ms, 285,000 years, and at most one half-life is added"
    )]
    pub fn plus(self, other: Self) -> Self {
        let half_life = HALF_LIFE.as_millis() as f64;
        let (high, low) = (self.0.max(other.0), self.0.min(other.0));
        let difference = low.saturating_sub(high) as f64 / half_life;
        let added = half_life * difference.exp2().ln_1p() / std::f64::consts::LN_2;
        Self(high.saturating_add(added.round() as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3_600_000;
    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn two_uses_now_weigh_as_much_as_four_uses_14_days_ago() {
        let sum = |uses: i64, at: i64| {
            let uses = (0..uses).map(|_| UsageScore::of_use(at));
            uses.reduce(UsageScore::plus).unwrap()
        };
        assert!((sum(2, NOW).millis() - sum(4, NOW - 14 * DAY).millis()).abs() < 10);
        assert!(sum(3, NOW - 14 * DAY) < sum(2, NOW));
        assert!(sum(5, NOW - 14 * DAY) > sum(2, NOW));
    }

    #[test]
    fn a_new_use_always_counts_and_no_sum_overflows() {
        let mut score = UsageScore::of_use(0).plus(UsageScore::of_use(NOW));
        assert_eq!(
            score,
            UsageScore::of_use(NOW),
            "an old use has no weight left"
        );
        for _ in 0..10_000 {
            let next = score.plus(UsageScore::of_use(NOW));
            assert!(next > score);
            score = next;
        }
        let extreme = UsageScore::stored(i64::MAX).plus(UsageScore::stored(i64::MIN));
        assert_eq!(extreme, UsageScore::stored(i64::MAX));
    }
}
