//! Compares the decaying score of `warm` with caches of the same number of bytes that hold what was used last.
//!
//! `cargo bench --bench warming` prints a table of hit rates, and fails if the score does not beat both caches on average.
//! The usage is generated from the model below, by seeds. It is not recorded from people, so the figures hold for readers
//! who behave like the model.
//!
//! | model | |
//! |---|---|
//! | library | 400 entries of log-normal size, median 20 kB |
//! | devices | three, with 70 %, 20 % and 10 % of the uses |
//! | serials | follows 40, of which each has a new chapter every 1 to 30 days; reads 80 % of them within two days |
//! | one long story | 1 to 4 uses a day for 3 to 15 days, then another |
//! | favourites | on 60 % of the days one entry, by Zipf's law |
//! | browsing | on some days 30 random entries in a row, which are not read again |
//!
//! | cache | holds |
//! |---|---|
//! | own LRU | the entries that this device used last, as a device can know by itself |
//! | shared LRU | the entries that any device used last |
//! | score | the entries with the highest score, without the first that does not fit |

use std::{cmp::Reverse, collections::HashSet};

use fastrand::Rng;
use library_sync::library::UsageScore;

const ENTRIES: usize = 400;
const DAYS: u32 = 180;
/// Days whose uses are not counted, because all caches are empty at first.
const WARM_UP: f64 = 30.0;
const DAY_MILLIS: f64 = 86_400_000.0;
const SEEDS: u32 = 10;

/// A use of an entry.
struct Use {
    /// In days.
    at: f64,
    device: usize,
    entry: usize,
}

/// The uses of one reader, in their order.
struct Trace {
    /// Bytes of each entry.
    sizes: Vec<f64>,
    uses: Vec<Use>,
}

/// A random number of the normal distribution (Box and Muller).
fn normal(rng: &mut Rng) -> f64 {
    let (a, b) = (1.0 - rng.f64(), rng.f64());
    (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}

/// A random rank below [`ENTRIES`], by Zipf's law.
fn zipf(rng: &mut Rng, weights: &[f64]) -> usize {
    let mut left = rng.f64() * weights.iter().sum::<f64>();
    let found = weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    found.unwrap_or_default()
}

/// Generates the uses of a reader who browses on this share of the days.
#[expect(clippy::cast_precision_loss, reason = "ranks are small")]
fn generate(seed: u64, browsing: f64) -> Trace {
    let mut rng = Rng::with_seed(seed);
    let sizes = (0..ENTRIES).map(|_| (20_000.0 * (0.8 * normal(&mut rng)).exp()).max(2_000.0));
    let sizes = sizes.collect();
    let weights: Vec<_> = (1..=ENTRIES).map(|rank| 1.0 / rank as f64).collect();
    let mut order: Vec<_> = (0..ENTRIES).collect();
    rng.shuffle(&mut order);
    let periods = [1, 3, 7, 7, 14, 30];
    let serials: Vec<_> = (0..40)
        .map(|n| {
            (
                order[ENTRIES - 1 - n],
                periods[rng.usize(..6)],
                rng.u32(..30),
            )
        })
        .collect();
    let device = |rng: &mut Rng| match rng.u32(..100) {
        0..70 => 0,
        70..90 => 1,
        _ => 2,
    };
    let (mut uses, mut story, mut days_left) = (Vec::new(), 0, 0);
    for day in 0..DAYS {
        let mut add = |rng: &mut Rng, at: f64, entry| {
            let device = device(rng);
            uses.push(Use { at, device, entry });
        };
        for (entry, period, phase) in &serials {
            if (day + phase) % period == 0 && rng.f64() < 0.8 {
                let late = if rng.f64() < 0.3 { 1.0 } else { 0.0 };
                let at = f64::from(day) + rng.f64() + late;
                add(&mut rng, at, *entry);
            }
        }
        if days_left == 0 {
            (story, days_left) = (rng.usize(..ENTRIES), rng.u32(3..=15));
        }
        days_left -= 1;
        for _ in 0..rng.u32(1..=4) {
            let at = f64::from(day) + rng.f64();
            add(&mut rng, at, story);
        }
        if rng.f64() < 0.6 {
            let (at, rank) = (f64::from(day) + rng.f64(), zipf(&mut rng, &weights));
            add(&mut rng, at, order[rank]);
        }
        if rng.f64() < browsing {
            let (at, device) = (f64::from(day) + rng.f64(), device(&mut rng));
            for n in 0..30 {
                let at = at + f64::from(n) / 10_000.0;
                let entry = rng.usize(..ENTRIES);
                uses.push(Use { at, device, entry });
            }
        }
    }
    uses.sort_by(|one, other| one.at.total_cmp(&other.at));
    Trace { sizes, uses }
}

/// The first entries of `ranked` that fit into `bytes`.
fn fitting(ranked: impl Iterator<Item = usize>, sizes: &[f64], bytes: f64) -> HashSet<usize> {
    let mut left = bytes;
    ranked
        .take_while(|entry| {
            left -= sizes[*entry];
            left >= 0.0
        })
        .collect()
}

/// Moves an entry to the front.
fn touch(recent: &mut Vec<usize>, entry: usize) {
    recent.retain(|other| *other != entry);
    recent.insert(0, entry);
}

/// The hit rates of the own LRU, the shared LRU and the score, with a share of the library's bytes.
fn hit_rates(trace: &Trace, share: f64) -> [f64; 3] {
    let Trace { sizes, uses } = trace;
    let bytes = share * sizes.iter().sum::<f64>();
    let mut own = [Vec::new(), Vec::new(), Vec::new()];
    let mut shared = Vec::new();
    let mut scores: Vec<Option<(UsageScore, f64)>> = vec![None; ENTRIES];
    let (mut hits, mut counted) = ([0_u32; 3], 0_u32);
    for Use { at, device, entry } in uses {
        let mut ranked: Vec<_> = (0..ENTRIES)
            .filter(|entry| scores[*entry].is_some())
            .collect();
        ranked.sort_by_key(|entry| Reverse(scores[*entry].map(|(score, _)| score)));
        if *at >= WARM_UP {
            counted += 1;
            let caches = [
                fitting(own[*device].iter().copied(), sizes, bytes),
                fitting(shared.iter().copied(), sizes, bytes),
                fitting(ranked.into_iter(), sizes, bytes),
            ];
            for (hits, cache) in hits.iter_mut().zip(caches) {
                *hits += u32::from(cache.contains(entry));
            }
        }
        touch(&mut own[*device], *entry);
        touch(&mut shared, *entry);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "180 days are few milliseconds"
        )]
        let used = UsageScore::of_use((at * DAY_MILLIS) as i64);
        scores[*entry] = match scores[*entry] {
            // As on the server, at most one use a minute counts.
            Some((score, last)) if at - last < 1.0 / 1_440.0 => Some((score, last)),
            Some((score, _)) => Some((score.plus(used), *at)),
            None => Some((used, *at)),
        };
    }
    hits.map(|hits| f64::from(hits) / f64::from(counted))
}

fn main() {
    println!("| browsing days | cache, share of the library | own LRU | shared LRU | score |");
    println!("|---|---|---|---|---|");
    let mut means = [0.0; 3];
    for browsing in [0.0, 0.05, 0.15, 0.3] {
        let traces: Vec<_> = (0..SEEDS)
            .map(|seed| generate(u64::from(seed), browsing))
            .collect();
        for share in [0.02, 0.05, 0.1, 0.2] {
            let rates = traces.iter().map(|trace| hit_rates(trace, share));
            let sum = rates.fold([0.0; 3], |sum, rates| [0, 1, 2].map(|n| sum[n] + rates[n]));
            let [own, shared, score] = sum.map(|sum| 100.0 * sum / f64::from(SEEDS));
            println!(
                "| {:.0} % | {:.0} % | {own:.1} % | {shared:.1} % | {score:.1} % |",
                100.0 * browsing,
                100.0 * share
            );
            means = [means[0] + own, means[1] + shared, means[2] + score];
        }
    }
    let [own, shared, score] = means;
    assert!(
        score > own && score > shared,
        "the score does not beat a least-recently-used cache"
    );
}
