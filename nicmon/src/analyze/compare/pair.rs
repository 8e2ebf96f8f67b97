//! A driver of one recording beside one of another: every figure of both.

use super::{
    cell::Cell,
    differences::sampled_alike,
    figures::{FEWEST_SAMPLES, Figure},
    interval::{self, FEWEST_FRAMES, Frames, Part},
    model::{Compared, Pair},
    pairs::Wanted,
    series::{self, Recording, Series},
    verdict,
};
use crate::present::text::plural;

/// The two recordings, and how they are compared.
pub(super) struct Both<'a> {
    pub a: &'a Recording,
    pub b: &'a Recording,
    /// Whether `b` is `a`.
    pub is_one: bool,
    /// Confidence of each interval.
    pub confidence: f64,
    /// Standard deviation of a recording among recordings of the same work, as a fraction.
    pub run_to_run: f64,
}

/// What one recording contributes to a figure of a driver.
struct Half<'a> {
    driver: &'a str,
    recording: &'a str,
    series: &'a Series,
    parts: Vec<Part>,
}

impl Both<'_> {
    pub(super) fn pair(&self, wanted: &Wanted) -> Pair {
        let (in_a, in_b) = (&self.a.about.name, &self.b.about.name);
        let figures: Vec<Compared> =
            Figure::ALL.into_iter().map(|figure| self.figure(figure, wanted)).collect();
        let (name_a, name_b) = if wanted.a == wanted.b {
            (format!("{} in {in_a}", wanted.a), format!("{} in {in_b}", wanted.b))
        } else {
            (wanted.a.clone(), wanted.b.clone())
        };
        let verdicts = verdict::verdicts(&figures);
        let summary = verdict::summary(&verdicts, &figures, &name_a, &name_b);
        Pair { a: wanted.a.clone(), b: wanted.b.clone(), figures, verdicts, summary }
    }

    fn figure(&self, figure: Figure, wanted: &Wanted) -> Compared {
        let none = Series::default();
        let in_a = self.a.drivers.get(&wanted.a).unwrap_or(&none);
        let in_b = self.b.drivers.get(&wanted.b).unwrap_or(&none);
        let (parts_a, parts_b) = if self.is_one {
            series::aligned(in_a, in_b, figure)
        } else {
            (in_a.parts(figure), in_b.parts(figure))
        };
        let a = Half { driver: &wanted.a, recording: &self.a.about.name, series: in_a, parts: parts_a };
        let b = Half { driver: &wanted.b, recording: &self.b.about.name, series: in_b, parts: parts_b };

        let mut compared = Compared {
            figure,
            unit: figure.unit().to_owned(),
            is_estimate: in_a.is_estimate(figure) || in_b.is_estimate(figure),
            a: a.value(figure),
            b: b.value(figure),
            ratio: None,
            ratio_ci: None,
            frames_ci: None,
            is_of_recordings: false,
            frames: None,
            unknown: None,
        };
        match self.ratio(figure, &a, &b, &mut compared) {
            Ok(()) => {}
            Err(why) => compared.unknown = Some(why),
        }
        compared
    }

    /// Sets the ratio and its interval. An error says why one of them is missing.
    fn ratio(&self, figure: Figure, a: &Half, b: &Half, compared: &mut Compared) -> Result<(), String> {
        let value_a = compared.a.ok_or_else(|| a.why_unknown(figure))?;
        let value_b = compared.b.ok_or_else(|| b.why_unknown(figure))?;
        if figure.is_sampled() && !sampled_alike(&self.a.about, &self.b.about) {
            return Err("different events triggered the samples of the two recordings".to_owned());
        }
        if value_a <= 0.0 {
            return Err(format!("it is 0 for {}", a.name()));
        }
        let ratio = value_b / value_a;
        compared.ratio = Some(ratio);
        let frames = interval::effective(&a.parts).min(interval::effective(&b.parts));
        compared.frames = Some(whole(frames));
        if value_b <= 0.0 {
            return Err(format!("it is 0 for {}", b.name()));
        }
        for half in [a, b] {
            let samples = half.series.samples(figure);
            if figure.is_sampled() && samples < FEWEST_SAMPLES {
                return Err(format!(
                    "only {} for {}: record for longer, or with a higher -F",
                    plural(samples, "sample"),
                    half.name()
                ));
            }
        }
        let drawn = if self.is_one { Frames::Same } else { Frames::Apart };
        let drawn = interval::of_ratio(&a.parts, &b.parts, drawn, self.confidence).ok_or_else(|| {
            if frames < FEWEST_FRAMES {
                format!(
                    "only {} with traffic, but {FEWEST_FRAMES} are needed: record for longer, or with a \
                     shorter -d",
                    // Frames count in part, too: 4.6 of them are not the 5 that are needed.
                    plural(whole(frames).min(whole(FEWEST_FRAMES) - 1), "frame")
                )
            } else {
                "its frames are too few or too similar: record for longer, or with a higher -F".to_owned()
            }
        })?;
        compared.frames_ci = Some(drawn.bounds);
        compared.is_of_recordings = drawn.by_frames == 0;
        compared.ratio_ci = interval::allowing(drawn, ratio, self.run_to_run, self.confidence);
        Ok(())
    }
}

impl Half<'_> {
    fn name(&self) -> String {
        format!("{} in {}", self.driver, self.recording)
    }

    fn value(&self, figure: Figure) -> Option<f64> {
        let all = interval::total(&self.parts);
        (all.below > 0.0).then(|| figure.scale() * all.above / all.below)
    }

    fn why_unknown(&self, figure: Figure) -> String {
        let name = self.name();
        if !self.parts.is_empty() {
            return format!("{name} had no traffic");
        }
        let knows = |known: &dyn Fn(&Cell) -> bool| self.series.cells.iter().any(known);
        if figure.is_sampled() && !knows(&|cell| cell.samples.is_some()) {
            let why = self.series.unknown.as_deref().unwrap_or("the CPUs were not sampled");
            return format!("the code of {name} is unknown: {why}");
        }
        if !knows(&|cell| cell.packets.is_some()) {
            return format!("the packets of {name} are unknown");
        }
        format!("the times of {name} are unknown")
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of frames is small and positive"
)]
fn whole(frames: f64) -> u64 {
    frames.round() as u64
}
