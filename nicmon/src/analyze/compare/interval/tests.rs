use fastrand::Rng;

use super::*;

/// Frames of a driver whose cost per byte is constant, except for noise. Cost and traffic of a frame depend
/// on the frames before it by `alike` (AR(1)). The cost is measured by `samples` samples per frame, or
/// exactly if that is 0.
struct Load {
    frames: usize,
    alike: f64,
    noise: f64,
    samples: f64,
}

fn normal(rng: &mut Rng) -> f64 {
    // G. E. P. Box, M. E. Muller, 1958.
    let (u, v): (f64, f64) = (1.0 - rng.f64(), rng.f64());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// D. E. Knuth's method, by products.
fn poisson(rng: &mut Rng, mean: f64) -> f64 {
    let (limit, mut product, mut count) = ((-mean).exp(), rng.f64(), 0.0);
    while product > limit {
        product *= rng.f64();
        count += 1.0;
    }
    count
}

impl Load {
    fn record(&self, rng: &mut Rng) -> Vec<Part> {
        let fresh = (1.0 - self.alike * self.alike).sqrt();
        let (mut cost, mut traffic) = (normal(rng), normal(rng));
        (0..self.frames)
            .map(|_| {
                cost = self.alike * cost + fresh * normal(rng);
                traffic = self.alike * traffic + fresh * normal(rng);
                let below = 1e8 * (self.noise * traffic).exp();
                let mean = (self.noise * cost).exp() * below / 1e8;
                let above = if self.samples > 0.0 { poisson(rng, self.samples * mean) } else { mean };
                let chance = if self.samples > 0.0 { above } else { 0.0 };
                Part { above, below, chance, run: 0 }
            })
            .collect()
    }

    /// How many of 100 pairs of recordings have a verdict if the second costs `ratio` times as much.
    fn told_apart(&self, pairs: u32, ratio: f64) -> f64 {
        let mut rng = Rng::with_seed(7);
        let apart = (0..pairs).filter(|_| {
            let a = self.record(&mut rng);
            let b = Load { samples: self.samples * ratio, ..*self }.record(&mut rng);
            // Exact costs of both are the same up to here.
            let exact = if self.samples > 0.0 { 1.0 } else { ratio };
            let b: Vec<Part> = b.into_iter().map(|part| Part { above: part.above * exact, ..part }).collect();
            let interval = of_ratio(&a, &b, Frames::Apart, 0.95);
            interval.is_some_and(|Interval { bounds: [low, high], .. }| low > 1.0 || high < 1.0)
        });
        apart.count() as f64 * 100.0 / f64::from(pairs)
    }
}

/// At most 5 of 100 pairs of the same load are told apart, also where frames are alike by 0.8 or 0.9. The
/// seed is fixed, so this cannot fail by chance.
#[test]
fn recordings_of_the_same_load_are_not_told_apart() {
    for (frames, alike, noise, samples) in [
        (10, 0.5, 0.3, 0.0),
        (10, 0.9, 0.3, 0.0),
        (20, 0.8, 0.3, 0.0),
        (30, 0.9, 0.3, 0.0),
        (60, 0.0, 0.3, 0.0),
        (60, 0.0, 0.0, 5.0),
        (60, 0.5, 0.1, 0.2),
        (60, 0.8, 0.1, 0.0),
        (60, 0.8, 0.3, 0.0),
        (60, 0.8, 0.3, 10.0),
        (60, 0.9, 0.1, 0.0),
        (60, 0.9, 0.3, 0.0),
        (120, 0.9, 0.3, 5.0),
        (300, 0.8, 0.3, 0.0),
        (300, 0.9, 0.3, 0.0),
        (300, 0.9, 0.3, 10.0),
    ] {
        let wrong = Load { frames, alike, noise, samples }.told_apart(2000, 1.0);
        assert!(
            wrong <= 5.0,
            "{frames} frames alike by {alike}, noise {noise}, {samples} samples each: {wrong} %"
        );
    }
}

/// A true ratio of 1.5 is found in at least 80 of 100 pairs where the frames can show it. (60 frames alike by
/// 0.8 with a noise of 0.3 cannot: the best possible test finds it in 69.)
#[test]
fn a_ratio_of_one_and_a_half_is_found() {
    for (frames, alike, noise, samples) in [
        (30, 0.3, 0.2, 0.0),
        (60, 0.0, 0.3, 0.0),
        (60, 0.0, 0.0, 5.0),
        (60, 0.5, 0.3, 0.0),
        (60, 0.8, 0.1, 0.0),
        (120, 0.8, 0.3, 0.0),
        (300, 0.9, 0.3, 0.0),
    ] {
        let found = Load { frames, alike, noise, samples }.told_apart(1000, 1.5);
        assert!(
            found >= 80.0,
            "{frames} frames alike by {alike}, noise {noise}, {samples} samples each: {found} %"
        );
    }
}

/// Nearly all traffic is in 12 consecutive frames of 60. Along the clock, the low cosines would see nothing.
#[test]
fn a_burst_is_no_certainty() {
    let load = Load { frames: 60, alike: 0.0, noise: 0.3, samples: 0.0 };
    let mut rng = Rng::with_seed(17);
    let mut burst = || -> Vec<Part> {
        let frames = load.record(&mut rng).into_iter().enumerate();
        let scale = |at| if (20..32).contains(&at) { 1.0 } else { 0.01 };
        frames
            .map(|(at, part)| Part { above: part.above * scale(at), below: part.below * scale(at), ..part })
            .collect()
    };
    let wrong = (0..1000).filter(|_| {
        let interval = of_ratio(&burst(), &burst(), Frames::Apart, 0.95);
        interval.is_some_and(|Interval { bounds: [low, high], .. }| low > 1.0 || high < 1.0)
    });
    let wrong = wrong.count();
    assert!(wrong <= 50, "{wrong} of 1000");
}

/// One driver is busy in every twelfth frame, the other in all: whichever comes first, it is the same claim.
#[test]
fn swapping_the_drivers_of_one_recording_inverts_the_interval() {
    for seed in 0..50 {
        let mut rng = Rng::with_seed(seed);
        let load = Load { frames: 120, alike: rng.f64() * 0.9, noise: 0.25, samples: 0.0 };
        let steady = load.record(&mut rng);
        let bursty: Vec<Part> = load
            .record(&mut rng)
            .into_iter()
            .enumerate()
            .map(|(at, part)| {
                let scale = if at % 12 == 0 { 1.0 } else { 0.03 };
                Part { above: part.above * scale, below: part.below * scale, ..part }
            })
            .collect();
        for frames in [Frames::Same, Frames::Apart] {
            let one = of_ratio(&steady, &bursty, frames, 0.95);
            let other = of_ratio(&bursty, &steady, frames, 0.95);
            let Some((one, other)) = one.zip(other) else {
                assert_eq!(one, other, "both or neither");
                continue;
            };
            let [low, high] = other.bounds.map(f64::recip);
            for (left, right) in one.bounds.iter().zip([high, low]) {
                assert!((left / right - 1.0).abs() < 1e-9, "{one:?} and {other:?}");
            }
        }
    }
}

#[test]
fn a_difference_is_seen() {
    let load = Load { frames: 30, alike: 0.3, noise: 0.2, samples: 0.0 };
    let mut rng = Rng::with_seed(3);
    let a = load.record(&mut rng);
    let mut b = load.record(&mut rng);
    for part in &mut b {
        part.above *= 12.0;
    }
    let drawn = of_ratio(&a, &b, Frames::Apart, 0.95);
    let [low, high] = drawn.expect("an interval").bounds;
    assert!(8.0 < low && low < 12.0 && 12.0 < high && high < 17.0, "{low} to {high}");
    assert_eq!(of_ratio(&a, &b, Frames::Apart, 0.95), drawn, "the same frames, the same interval");
    let wider = of_ratio(&a, &b, Frames::Apart, 0.99).expect("an interval").bounds;
    assert!(wider[0] < low && high < wider[1]);
}

#[test]
fn what_hits_both_at_once_does_not_blur() {
    let load = Load { frames: 40, alike: 0.0, noise: 0.5, samples: 0.0 };
    let a = load.record(&mut Rng::with_seed(3));
    let b: Vec<Part> = a.iter().map(|part| Part { above: part.above * 2.0, ..*part }).collect();
    let [low, high] = of_ratio(&a, &b, Frames::Same, 0.95).expect("an interval").bounds;
    assert!((low - 2.0).abs() < 1e-9 && (high - 2.0).abs() < 1e-9, "{low} to {high}");
    let [low, high] = of_ratio(&a, &b, Frames::Apart, 0.95).expect("an interval").bounds;
    assert!(low < 1.8 && high > 2.2, "{low} to {high}");
}

#[test]
fn frames_without_traffic_are_none() {
    let load = Load { frames: 30, alike: 0.0, noise: 0.2, samples: 0.0 };
    let mut rng = Rng::with_seed(5);
    let (a, b) = (load.record(&mut rng), load.record(&mut rng));
    let mut with_pauses = a.clone();
    with_pauses.splice(10..10, [Part::default(); 300]);
    assert!((effective(&a) - effective(&with_pauses)).abs() < 1e-9);
    let before = of_ratio(&a, &b, Frames::Apart, 0.95).expect("an interval");
    let after = of_ratio(&with_pauses, &b, Frames::Apart, 0.95).expect("an interval");
    for (before, after) in before.bounds.iter().zip(after.bounds) {
        assert!((before.ln() - after.ln()).abs() < 0.1, "{before} and {after}");
    }
    assert_eq!(of_ratio(&a[..4], &b, Frames::Apart, 0.95), None, "too few");
    assert_eq!(of_ratio(&[], &b, Frames::Apart, 0.95), None);
    assert_eq!(of_ratio(&[Part::default(); 50], &b, Frames::Apart, 0.95), None);
}

/// Recordings that differ by 20 % each, while their frames hardly do.
#[test]
fn recordings_on_end_tell_how_recordings_differ() {
    let mut rng = Rng::with_seed(11);
    let load = Load { frames: 30, alike: 0.0, noise: 0.02, samples: 0.0 };
    let mut side = || -> Vec<Part> {
        let one = |run| {
            let level = (0.2 * normal(&mut rng)).exp();
            let frames = load.record(&mut rng);
            frames.into_iter().map(move |part| Part { above: part.above * level, run, ..part })
        };
        (0..4).flat_map(one).collect()
    };
    let mut wrong = 0;
    for _ in 0..200 {
        let (a, b) = (side(), side());
        let drawn = of_ratio(&a, &b, Frames::Apart, 0.95).expect("an interval");
        let [low, high] = drawn.bounds;
        wrong += u32::from(low > 1.0 || high < 1.0);
        let ratio = total(&b).log() - total(&a).log();
        assert_eq!(
            allowing(drawn, ratio.exp(), 0.15, 0.95).map(|[low, _]| low.to_bits() >> 8),
            Some(low.to_bits() >> 8),
            "nothing is added to what is known"
        );
    }
    assert!(wrong <= 16, "{wrong} of 200");
}

/// A download that failed: it contributes nothing to resample, so two recordings are left, and nobody knows
/// how much they differ.
#[test]
fn recordings_without_traffic_are_none() {
    let mut rng = Rng::with_seed(13);
    let load = Load { frames: 30, alike: 0.0, noise: 0.1, samples: 0.0 };
    let mut side = |idle: Option<u32>| -> Vec<Part> {
        let of_run = |run| {
            let frames = load.record(&mut rng);
            frames
                .into_iter()
                .map(move |part| Part { run, ..if idle == Some(run) { Part::default() } else { part } })
        };
        (0..3).flat_map(of_run).collect()
    };
    let (all, two) = (side(None), side(Some(1)));
    let by_frames =
        |a: &[Part], b: &[Part], frames| of_ratio(a, b, frames, 0.95).expect("an interval").by_frames;
    assert_eq!(by_frames(&all, &all, Frames::Apart), 0);
    assert_eq!(by_frames(&all, &two, Frames::Apart), 1);
    assert_eq!(by_frames(&two, &two, Frames::Same), 2);
}

#[test]
fn an_allowance_adds_in_squares() {
    let allowing = |bounds, deviation| allowing(Interval { bounds, by_frames: 2 }, 1.0, deviation, 0.95);
    let [low, high] = allowing([0.5, 2.0], 0.0).expect("an interval");
    assert!((low - 0.5).abs() < 1e-9 && (high - 2.0).abs() < 1e-9);
    let [low, high] = allowing([1.0, 1.0], 0.15).expect("an interval");
    assert!((high.ln() - 1.96 * 0.15 * 2_f64.sqrt()).abs() < 1e-3 && (low * high - 1.0).abs() < 1e-9);
}

/// An interrupt storm in the middle of a short recording: its frames are so similar that they count as hardly
/// two.
#[test]
fn hardly_two_independent_frames_give_no_interval() {
    let part = |above| Part { above, below: 1.0, chance: 0.0, run: 0 };
    let storm: Vec<Part> =
        (0..20).map(|frame| part(if (10..14).contains(&frame) { 9.0 } else { 1.0 })).collect();
    let calm: Vec<Part> = (0..14).map(|frame| part(1.0 + f64::from(frame % 3) / 10.0)).collect();
    assert_eq!(of_ratio(&calm, &storm, Frames::Apart, 0.95), None);
    assert!(of_ratio(&calm, &calm, Frames::Apart, 0.95).is_some());
}
