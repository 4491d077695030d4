//! The model: how readers use their devices. Every number here is an assumption, stated in docs/scaling.md; the
//! simulation draws from it, and the plan is worth as much as it.

/// A kind of device, and how it is used. Times are in seconds; each is the mean of an exponential distribution.
pub struct Kind {
    /// Out of ten devices.
    pub share: u32,
    /// The app is brought to the front so often a day.
    pub sessions: f64,
    /// How long the app then stays open, with its stream.
    pub session: f64,
    /// How long a connection lasts before the network changes or drops it.
    pub connection: f64,
}

/// Phones, tablets and computers.
pub const KINDS: [Kind; 3] = [
    Kind {
        share: 6,
        sessions: 6.0,
        session: 480.0,
        connection: 900.0,
    },
    Kind {
        share: 2,
        sessions: 2.0,
        session: 1_500.0,
        connection: 7_200.0,
    },
    Kind {
        share: 2,
        sessions: 3.0,
        session: 3_600.0,
        connection: 14_400.0,
    },
];

/// Devices of a user.
pub const DEVICES_PER_USER: usize = 3;

/// Time between two chapters that are read on an open device.
pub const CHAPTER: f64 = 720.0;

/// A client waits so long before it reconnects, at most (the `retry` of the first event, and its jitter).
pub const RECONNECT: f64 = 5.0;

/// Streams of a node that stops end over this time (`--drain-spread`).
pub const DRAIN: f64 = 5.0;

/// Rolling restarts in each week. The nodes restart one after the other.
pub const RESTARTS_PER_WEEK: u64 = 2;

/// Time between the restarts of two nodes.
pub const RESTART_GAP: u64 = 60;

/// Of the sleeping devices, so many of ten can be woken by push.
pub const PUSH_OF_TEN: u32 = 4;

/// The part of the busiest use at an hour of the reader's day: little at night, most in the evening.
pub const DAY: [f64; 24] = [
    0.30, 0.18, 0.10, 0.07, 0.06, 0.09, 0.18, 0.32, 0.42, 0.45, 0.46, 0.50, 0.58, 0.56, 0.52, 0.52,
    0.55, 0.62, 0.70, 0.80, 0.92, 1.00, 0.85, 0.55,
];

/// Readers live in time zones: out of ten, so many so many hours east of UTC.
pub const ZONES: [(u32, u64); 4] = [(4, 1), (3, 19), (2, 8), (1, 12)];

/// The kind of a device.
pub fn kind(device: usize) -> &'static Kind {
    let mut of_ten = mixed(device) % 10;
    for kind in &KINDS {
        if of_ten < kind.share {
            return kind;
        }
        of_ten -= kind.share;
    }
    unreachable!("the shares of the kinds add up to ten")
}

/// The part of the busiest use of a user at a second since the start, which is midnight UTC.
pub fn use_at(user: usize, second: u64) -> f64 {
    let mut of_ten = mixed(user.wrapping_add(0x5bd1)) % 10;
    let zone = ZONES.iter().find(|(share, _)| {
        let here = of_ten < *share;
        of_ten = of_ten.wrapping_sub(*share);
        here
    });
    let hour = (second / 3_600 + zone.map_or(0, |(_, east)| *east)) % 24;
    DAY[usize::try_from(hour).unwrap()]
}

/// The mean of [`DAY`].
pub fn mean_use() -> f64 {
    DAY.iter().sum::<f64>() / 24.0
}

/// Spreads the bits of a number, so that the kinds of a user's devices are independent.
fn mixed(number: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "only some bits are wanted")]
    let low = number as u32;
    let mixed = low.wrapping_mul(0x9e37_79b9);
    (mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca6b) >> 8
}
