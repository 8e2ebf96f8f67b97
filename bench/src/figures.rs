//! Best, median and mean values, and whether the targets are reached.

use crate::estimate::mean;

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

    /// The mean: what a contender costs that does not measure all the time.
    pub(crate) fn mean(&self) -> Option<f64> {
        (!self.0.is_empty()).then(|| mean(&self.0))
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

#[cfg(test)]
mod tests {
    use super::Figures;

    #[test]
    fn best_median_and_mean() {
        let mut figures = Figures::default();
        assert_eq!((figures.best(), figures.median(), figures.mean()), (None, None, None));
        figures.add([3.0, 1.0, 2.0]);
        figures.add([9.0, 8.0]);
        assert_eq!((figures.best(), figures.median(), figures.mean()), (Some(1.0), Some(3.0), Some(4.6)));
    }
}
