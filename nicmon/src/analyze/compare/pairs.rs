//! Which driver of the first recording is compared with which of the second.

use std::str::FromStr;

use super::series::Recording;

/// A driver that carried this part of a recording's bytes is the one the recording is about.
const MAIN_PART: f64 = 0.9;
/// A driver that carried less than this part is compared only if asked for.
const LEAST_PART: f64 = 0.01;

/// A driver of each recording, as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Driver in the first recording.
    pub a: String,
    /// Driver in the second recording.
    pub b: String,
}

impl FromStr for Wanted {
    type Err = String;

    /// `A=B`, or one name for both.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (a, b) = text.split_once('=').unwrap_or((text, text));
        if a.is_empty() || b.is_empty() {
            return Err("give one driver of each recording, such as 8139cp=virtio_net, or one name for both"
                .to_owned());
        }
        Ok(Self { a: a.to_owned(), b: b.to_owned() })
    }
}

/// Why nothing can be compared.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// A recording has no such driver.
    #[error("{name} has no NIC with the driver {driver}. Its drivers are: {there}")]
    Absent {
        /// The recording.
        name: String,
        /// The driver.
        driver: String,
        /// Its drivers.
        there: String,
    },
    /// No driver has traffic in both recordings.
    #[error(
        "no driver has traffic in both recordings\n{name_a}: {a}\n{name_b}: {b}\n\
         Choose one driver of each with --driver A=B"
    )]
    Nothing {
        /// The first recording.
        name_a: String,
        /// Its drivers with traffic.
        a: String,
        /// The second.
        name_b: String,
        /// Its drivers with traffic.
        b: String,
    },
    /// A single recording does not have exactly two drivers with traffic.
    #[error(
        "a single recording can only be compared driver against driver. Choose two with --driver A=B; its \
         drivers are: {there}"
    )]
    One {
        /// Its drivers.
        there: String,
    },
}

/// The pairs to compare, and the drivers with traffic that are in no pair. The pairs are those asked for;
/// else the drivers that the recordings are about; else the drivers with traffic in both.
pub(super) fn choose(
    a: &Recording,
    b: Option<&Recording>,
    wanted: &[Wanted],
) -> Result<(Vec<Wanted>, Vec<String>), PairError> {
    let other = b.unwrap_or(a);
    let pairs = if !wanted.is_empty() {
        for want in wanted {
            present(a, &want.a)?;
            present(other, &want.b)?;
        }
        wanted.to_vec()
    } else if b.is_none() {
        match with_traffic(a).as_slice() {
            [one, two] => vec![Wanted { a: (*one).to_owned(), b: (*two).to_owned() }],
            _ => return Err(PairError::One { there: names(a) }),
        }
    } else if let (Some(a), Some(b)) = (main(a), main(other)) {
        vec![Wanted { a: a.to_owned(), b: b.to_owned() }]
    } else {
        let in_b = with_traffic(other);
        let both = with_traffic(a).into_iter().filter(|driver| in_b.contains(driver));
        both.map(|driver| Wanted { a: driver.to_owned(), b: driver.to_owned() }).collect()
    };
    if pairs.is_empty() {
        let list = |recording| match with_traffic(recording).join(", ") {
            none if none.is_empty() => "no driver has traffic".to_owned(),
            some => some,
        };
        return Err(PairError::Nothing {
            name_a: a.about.name.clone(),
            a: list(a),
            name_b: other.about.name.clone(),
            b: list(other),
        });
    }
    let mut left_out: Vec<String> = Vec::new();
    let of_a = with_traffic(a).into_iter().filter(|driver| pairs.iter().all(|pair| pair.a != *driver));
    let of_b = with_traffic(other).into_iter().filter(|driver| pairs.iter().all(|pair| pair.b != *driver));
    for driver in of_a.chain(of_b) {
        let is_there = b.is_none() && pairs.iter().any(|pair| pair.a == driver || pair.b == driver);
        if !is_there && !left_out.iter().any(|left| left == driver) {
            left_out.push(driver.to_owned());
        }
    }
    Ok((pairs, left_out))
}

fn present(recording: &Recording, driver: &str) -> Result<(), PairError> {
    if recording.drivers.contains_key(driver) {
        return Ok(());
    }
    let (name, driver) = (recording.about.name.clone(), driver.to_owned());
    Err(PairError::Absent { name, driver, there: names(recording) })
}

fn names(recording: &Recording) -> String {
    let names: Vec<&str> = recording.drivers.keys().map(String::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn all_bytes(recording: &Recording) -> f64 {
    recording.drivers.values().map(|series| series.own_bytes() as f64).sum()
}

/// Drivers with a noticeable part of the traffic, by name.
fn with_traffic(recording: &Recording) -> Vec<&str> {
    let all = all_bytes(recording);
    let has_some = |bytes: f64| bytes > 0.0 && bytes >= all * LEAST_PART;
    let drivers = recording.drivers.iter().filter(|(_, series)| has_some(series.own_bytes() as f64));
    drivers.map(|(driver, _)| driver.as_str()).collect()
}

/// The one driver that a recording is about, if there is one.
fn main(recording: &Recording) -> Option<&str> {
    let all = all_bytes(recording);
    let is_main = |bytes: f64| bytes > 0.0 && bytes >= all * MAIN_PART;
    recording
        .drivers
        .iter()
        .find(|(_, series)| is_main(series.own_bytes() as f64))
        .map(|(name, _)| name.as_str())
}
