//! A share of samples, its uncertainty, and whether two shares measured at the same time can be the same.

/// The normal distribution's 97.5 % point.
const Z_95: f64 = 1.959_964;
/// Beyond this point, on both sides together, lie 0.02 % of a normal distribution. CI compares about seven
/// shares, so one in seven hundred runs fails by chance.
const Z_CHANCE: f64 = 3.72;

/// `hits` of `all` samples, which are not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    hits: u64,
    all: u64,
}

impl Share {
    /// `None` if there are no samples.
    pub fn of(hits: u64, all: u64) -> Option<Self> {
        (all > 0 && hits <= all).then_some(Self { hits, all })
    }

    /// The share in percent.
    pub fn pct(self) -> f64 {
        100.0 * self.hits as f64 / self.all as f64
    }

    /// The Wilson score interval in percent, `z` standard errors wide on each side.
    fn interval(self, z: f64) -> (f64, f64) {
        let (n, p) = (self.all as f64, self.pct() / 100.0);
        let scale = 1.0 + z * z / n;
        let middle = (p + z * z / (2.0 * n)) / scale;
        let half = z / scale * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        (100.0 * (middle - half).max(0.0), 100.0 * (middle + half).min(1.0))
    }

    /// How far this share may be below or above another by chance, in percentage points: Newcombe's interval
    /// of a difference (Statistics in Medicine 17, 1998, method 10), as far as it reaches to the side of the
    /// difference.
    fn chance(self, other: Self, z: f64) -> f64 {
        let (ours, theirs) = (self.interval(z), other.interval(z));
        let (low, high) = if self.pct() < other.pct() {
            ((ours.1 - self.pct()), (other.pct() - theirs.0))
        } else {
            ((self.pct() - ours.0), (theirs.1 - other.pct()))
        };
        low.hypot(high)
    }

    fn apart(self, other: Self) -> f64 {
        (self.pct() - other.pct()).abs()
    }

    /// Whether the two differ by no more than the 95 % interval of the difference of two independent shares.
    pub fn agrees_95(self, other: Self) -> bool {
        self.apart(other) <= self.chance(other, Z_95)
    }

    /// Whether the two differ by no more than one share does by chance in all but two of ten thousand
    /// comparisons.
    pub fn can_be(self, other: Self) -> bool {
        self.apart(other) <= self.chance(other, Z_CHANCE)
    }

    /// The smallest true difference that would surely be noticed, in percent of `other`.
    pub fn noticed_pct(self, other: Self) -> f64 {
        100.0 * self.chance(other, Z_CHANCE) / other.pct()
    }

    /// Both shares in words, and how close they are.
    pub fn beside(self, perf: Self) -> String {
        let joint = if self.agrees_95(perf) { "within" } else { "beyond" };
        let noticed = self.noticed_pct(perf);
        format!("{self}, perf {perf}; {joint} the joint 95 % interval; {noticed:.0} % would be noticed")
    }

    /// Whether this is surely the smaller one, by the 95 % intervals of both.
    pub fn is_below(self, other: Self) -> bool {
        self.interval(Z_95).1 < other.interval(Z_95).0
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (low, high) = self.interval(Z_95);
        write!(f, "{:.2} % [{low:.2}, {high:.2}]", self.pct())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(hits: u64, all: u64) -> Share {
        Share::of(hits, all).unwrap()
    }

    #[test]
    fn wilson_as_in_the_books() {
        // Agresti and Coull's example: 0 of 10 gives [0, 27.75]; 5 of 10 gives [23.66, 76.34].
        assert_eq!(of(0, 10).to_string(), "0.00 % [0.00, 27.75]");
        assert_eq!(of(5, 10).to_string(), "50.00 % [23.66, 76.34]");
        assert_eq!(Share::of(0, 0), None);
    }

    #[test]
    fn newcombe_as_in_the_paper() {
        // Its example (a): 56 of 70 and 48 of 80: 0.2000, from 0.0524 to 0.3339.
        let (more, less) = (of(56, 70), of(48, 80));
        assert!((more.apart(less) - more.chance(less, Z_95) - 5.24).abs() < 0.01);
    }

    #[test]
    fn chance_and_more_than_chance() {
        assert!(of(500, 3000).agrees_95(of(540, 3000)));
        assert!(!of(500, 3000).agrees_95(of(580, 3000)));
        assert!(of(500, 3000).can_be(of(580, 3000)));
        // A third less than perf's share of 8139cp with 40 MB, and none of its share of virtio_net.
        assert!(!of(127, 1150).can_be(of(190, 1150)));
        assert!(!of(0, 1000).can_be(of(30, 1000)));
    }

    /// The rule's chance of a false alarm: shares from the same coin, compared many times.
    #[test]
    fn false_alarms_are_rare() {
        let mut random = 88_172_645_463_325_252_u64;
        let mut hits = |all: u64, per_mille: u64| {
            let mut hit = || {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random % 1000 < per_mille
            };
            (0..all).filter(|_| hit()).count() as u64
        };
        for per_mille in [10, 30, 150] {
            let mut alarms = (0, 0);
            for _ in 0..2000 {
                let (ours, perf) = (of(hits(700, per_mille), 700), of(hits(700, per_mille), 700));
                alarms.0 += u32::from(!ours.can_be(perf));
                alarms.1 += u32::from(!ours.agrees_95(perf));
            }
            assert!(alarms.0 <= 2, "{per_mille}: {} of 2000", alarms.0);
            assert!((40..=160).contains(&alarms.1), "{per_mille}: {} of 2000", alarms.1);
        }
    }
}
