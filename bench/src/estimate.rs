//! A mean, and how far it may be off.

use std::fmt;

/// A mean and its standard error.
pub(crate) struct Estimate {
    pub(crate) value: f64,
    pub(crate) error: f64,
}

impl Estimate {
    pub(crate) fn of(values: &[f64]) -> Self {
        let (n, value) = (values.len() as f64, mean(values));
        let squares: f64 = values.iter().map(|v| (v - value).powi(2)).sum();
        Self { value, error: (squares / (n - 1.0) / n).sqrt() }
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:+.2} +- {:.2}", self.value, self.error)
    }
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::Estimate;

    #[test]
    fn mean_and_its_error() {
        let mean = Estimate::of(&[1.0, 2.0, 3.0, 4.0]);
        // The variance is 5/3, and that of the mean of four values is 5/12.
        assert!((mean.value - 2.5).abs() < 1e-9 && (mean.error - (5.0_f64 / 12.0).sqrt()).abs() < 1e-9);
    }
}
