//! `--fail-if 'cost_per_gb > 1.1'`: a claim about a ratio, for use in CI.

use std::str::FromStr;

use super::{figures::Figure, model::Comparison};

/// A claim about the ratio of a figure: second recording divided by the first.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    text: String,
    figure: Figure,
    order: Order,
    limit: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// The longer ones come first, because `>=` starts with `>`.
const ORDERS: [(&str, Order); 4] =
    [(">=", Order::AtLeast), ("<=", Order::AtMost), (">", Order::Above), ("<", Order::Below)];

/// Whether a claim holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It holds with confidence, that is, for the whole interval of a ratio. Contains a sentence about it.
    Holds(String),
    /// It does not hold with confidence.
    No,
    /// It cannot be judged because there is no interval. Contains the reason.
    Unknown(String),
}

impl Claim {
    /// Whether it holds for any of the pairs.
    pub fn judge(&self, comparison: &Comparison) -> Judgement {
        let mut unknown = None;
        for pair in &comparison.drivers {
            let Some(compared) = pair.figures.iter().find(|compared| compared.figure == self.figure) else {
                continue;
            };
            let Some([low, high]) = compared.ratio_ci else {
                let why = compared.unknown.as_deref().unwrap_or("there is no interval");
                unknown = Some(format!("{} of {} vs. {}: {why}", self.figure.name(), pair.b, pair.a));
                continue;
            };
            let holds = match self.order {
                Order::Above => low > self.limit,
                Order::AtLeast => low >= self.limit,
                Order::Below => high < self.limit,
                Order::AtMost => high <= self.limit,
            };
            if holds {
                let names =
                    if pair.a == pair.b { pair.a.clone() } else { format!("{} vs. {}", pair.b, pair.a) };
                return Judgement::Holds(format!(
                    "{} holds for {names}: the ratio is {:.3} [{low:.3}, {high:.3}]",
                    self.text,
                    compared.ratio.unwrap_or(f64::NAN)
                ));
            }
        }
        unknown.map_or(Judgement::No, Judgement::Unknown)
    }

    /// The claim as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl FromStr for Claim {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = || Figure::ALL.map(Figure::name).join(", ");
        let how = || format!("write FIGURE > NUMBER (or >=, <, <=), where FIGURE is one of {}", names());
        let (at, sign, order) =
            ORDERS.iter().find_map(|(sign, order)| Some((text.find(sign)?, sign, *order))).ok_or_else(how)?;
        let (name, limit) = (text[..at].trim(), text[at + sign.len()..].trim());
        let figure = Figure::ALL
            .into_iter()
            .find(|figure| figure.name() == name)
            .ok_or_else(|| format!("there is no figure {name:?}; {}", how()))?;
        match limit.parse::<f64>() {
            Ok(limit) if limit.is_finite() && limit > 0.0 => {
                Ok(Self { text: text.trim().to_owned(), figure, order, limit })
            }
            _ => Err(format!("{limit:?} is not a ratio: give a number above 0, such as 1.1 for 10 % more")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_read() {
        let claim: Claim = "cost_per_gb > 1.1".parse().expect("a claim");
        assert_eq!((claim.figure, claim.order, claim.limit), (Figure::CostPerGb, Order::Above, 1.1));
        let claim: Claim = " cost<=.5".parse().expect("a claim");
        assert_eq!((claim.figure, claim.order, claim.text()), (Figure::Cost, Order::AtMost, "cost<=.5"));
        let claim: Claim = "irq_ns_per_packet>=2".parse().expect("a claim");
        assert_eq!((claim.figure, claim.order), (Figure::IrqNsPerPacket, Order::AtLeast));
        for wrong in [
            "",
            "cost",
            "cost = 1",
            "cost > ",
            "cost > x",
            "cost > nan",
            "cost > -1",
            "cost > inf",
            "c > 1",
            "> 1",
            "cost >> 1",
        ] {
            let error = wrong.parse::<Claim>().expect_err(wrong);
            assert!(error.contains("write FIGURE") || error.contains("give a number"), "{wrong}: {error}");
        }
    }
}
