//! Best, median and mean values, and whether the targets are reached.

/// The measurements of one contender; smaller is better.
#[derive(Default)]
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    pub(crate) fn add(&mut self, figures: impl IntoIterator<Item = f64>) {
        self.0.extend(figures);
        self.0.sort_by(f64::total_cmp);
    }

    /// The smallest value; `None` if nothing was measured.
    pub(crate) fn best(&self) -> Option<f64> {
        self.0.first().copied()
    }

    /// The median; the upper one of two middle values.
    pub(crate) fn median(&self) -> Option<f64> {
        self.0.get(self.0.len() / 2).copied()
    }
}

/// The targets, and whether each was reached.
#[derive(Default)]
pub(crate) struct Verdicts(Vec<(String, Option<bool>)>);

impl Verdicts {
    /// `figure` names the target and the measured value. `reached` is `None` if it could not be measured.
    pub(crate) fn add(&mut self, figure: impl Into<String>, reached: Option<bool>) {
        self.0.push((figure.into(), reached));
    }

    /// Prints all targets and returns whether all were reached.
    pub(crate) fn print(&self) -> bool {
        println!("Targets");
        for (figure, reached) in &self.0 {
            let word = match reached {
                Some(true) => "reached",
                Some(false) => "MISSED",
                None => "NOT MEASURED",
            };
            println!("  {word:<13}{figure}");
        }
        self.0.iter().all(|(_, reached)| *reached == Some(true))
    }
}

/// The trimmed mean ignores one in this many of the values at each end. These are mostly blocks in
/// which something else ran.
pub(crate) const TRIM: usize = 10;

/// The mean.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The mean without 1 in [`TRIM`] of the values at each end.
pub(crate) fn trimmed_mean(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let cut = values.len() / TRIM;
    mean(&values[cut..values.len() - cut])
}

/// A mean and its standard error.
pub(crate) struct Estimate {
    pub(crate) value: f64,
    pub(crate) error: f64,
}

impl Estimate {
    /// The mean of these values.
    pub(crate) fn of(values: &[f64]) -> Self {
        let (n, value) = (values.len() as f64, mean(values));
        let squares: f64 = values.iter().map(|v| (v - value).powi(2)).sum();
        Self { value, error: (squares / (n - 1.0) / n).sqrt() }
    }
}

impl std::fmt::Display for Estimate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:+.2} +- {:.2}", self.value, self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_and_median() {
        let mut figures = Figures::default();
        assert_eq!((figures.best(), figures.median()), (None, None));
        figures.add([3.0, 1.0, 2.0]);
        figures.add([9.0, 8.0]);
        assert_eq!((figures.best(), figures.median()), (Some(1.0), Some(3.0)));
    }

    #[test]
    fn mean_and_its_error() {
        let mean = Estimate::of(&[1.0, 2.0, 3.0, 4.0]);
        // The variance is 5/3, and that of the mean of four values is 5/12.
        assert!((mean.value - 2.5).abs() < 1e-9 && (mean.error - (5.0_f64 / 12.0).sqrt()).abs() < 1e-9);
    }

    #[test]
    fn a_bad_block_does_not_move_the_trimmed_mean() {
        let mut values: Vec<f64> = (1..=20).map(f64::from).collect();
        values[19] = 1e6;
        assert!((trimmed_mean(&mut values) - 10.5).abs() < 1e-9);
    }
}
