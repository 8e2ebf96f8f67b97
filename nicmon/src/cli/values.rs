//! Parsers for the values of options. Their errors say what to write instead.

use std::{
    num::{NonZeroU32, NonZeroU64},
    ops::RangeInclusive,
    time::Duration,
};

use crate::{host::cpus::parse_list, stream::since_1970};

/// Shorter windows find nothing: a finding takes three of four seconds.
const SHORTEST_WINDOW: Duration = Duration::from_secs(5);
const SHORTEST_PATH: Duration = Duration::from_secs(2);
/// For how long `overhead` may measure.
const SHORTEST_OVERHEAD: Duration = Duration::from_secs(20);
const LONGEST_OVERHEAD: Duration = Duration::from_mins(10);
const LONGEST_WINDOW: Duration = Duration::from_hours(1);
/// The shortest `--delay`: a single softirq run can last longer than a shorter interval.
const SHORTEST_DELAY: Duration = Duration::from_millis(100);
/// The longest `--delay`.
const LONGEST_DELAY: Duration = Duration::from_hours(24);
/// The slowest and the fastest `--speed`.
const SPEEDS: RangeInclusive<f64> = 0.01..=1000.0;

/// The lowest and the highest `--frequency`, in Hz.
const FREQUENCIES: RangeInclusive<u32> = 1..=4999;

/// A point in time within a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// This long after the start of the recording.
    After(Duration),
    /// At this time, in nanoseconds since 1970.
    At(u64),
}

/// The most that nicmon's programs may cost on a CPU, in percent of it; `None` if that does not matter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaxOverhead(pub Option<f64>);

/// CPUs by number.
#[derive(Debug, Clone)]
pub struct CpuList(pub Vec<u32>);

pub(super) fn parse_max_overhead(text: &str) -> Result<MaxOverhead, String> {
    if text == "off" {
        return Ok(MaxOverhead(None));
    }
    match text.parse::<f64>() {
        Ok(pct) if pct > 0.0 && pct <= 100.0 => Ok(MaxOverhead(Some(pct))),
        _ => Err("give percent of a CPU, above 0 and up to 100, or off".to_owned()),
    }
}

pub(super) fn parse_cpus(text: &str) -> Result<CpuList, String> {
    parse_list(text).map(CpuList).map_err(|error| error.to_string())
}

pub(super) fn parse_count(text: &str) -> Result<u64, String> {
    text.parse::<NonZeroU64>().map(NonZeroU64::get).map_err(|_| "give a whole number, 1 or more".to_owned())
}

pub(super) fn parse_rows(text: &str) -> Result<u32, String> {
    text.parse::<NonZeroU32>().map(NonZeroU32::get).map_err(|_| "give a whole number, 1 or more".to_owned())
}

pub(super) fn parse_frequency(text: &str) -> Result<u32, String> {
    let frequency = text.parse().ok().filter(|frequency| FREQUENCIES.contains(frequency));
    frequency
        .ok_or_else(|| format!("give a whole number from {} to {}", FREQUENCIES.start(), FREQUENCIES.end()))
}

pub(super) fn parse_run_to_run(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("give a percentage from 0 to 100, such as 5".to_owned()),
    }
}

pub(super) fn parse_speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if SPEEDS.contains(&speed) => Ok(speed),
        _ => Err(format!("give a number from {} to {}", SPEEDS.start(), SPEEDS.end())),
    }
}

pub(super) fn parse_moment(text: &str) -> Result<Moment, String> {
    const HOW: &str = "give a time from the start of the recording, such as 90s or 5m, or a full one such as \
                       2026-11-23T06:33:07Z";
    // Only a date has a hyphen.
    if text.contains('-') {
        let at = humantime::parse_rfc3339_weak(text).ok().and_then(since_1970);
        return at.map(Moment::At).ok_or_else(|| format!("not a time; {HOW}"));
    }
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| format!("not a time; {HOW}")),
        Err(_) => humantime::parse_duration(text).map_err(|_| format!("not a time; {HOW}")),
    }
    .map(Moment::After)
}

pub(super) fn parse_delay(text: &str) -> Result<Duration, String> {
    const HOW: &str = "give seconds, or a number with a unit, such as 0.5, 500ms or 2s";
    let delay = match text.parse::<f64>() {
        Ok(seconds) => {
            Duration::try_from_secs_f64(seconds).map_err(|_| format!("not a possible interval; {HOW}"))?
        }
        Err(_) => humantime::parse_duration(text).map_err(|_| format!("not a time; {HOW}"))?,
    };
    if delay < SHORTEST_DELAY {
        return Err("the shortest interval is 100ms: one softirq run could fill a shorter one".to_owned());
    }
    if delay > LONGEST_DELAY {
        return Err("the longest interval is 24h".to_owned());
    }
    Ok(delay)
}

/// How long to watch.
pub(super) fn parse_window(text: &str) -> Result<Duration, String> {
    let window = parse_time(text)?;
    if !(SHORTEST_WINDOW..=LONGEST_WINDOW).contains(&window) {
        return Err("watch for 5s to 1h: what lasts less than 4 seconds is no finding".to_owned());
    }
    Ok(window)
}

/// How long `path` measures.
pub(super) fn parse_path_time(text: &str) -> Result<Duration, String> {
    let time = parse_time(text)?;
    if !(SHORTEST_PATH..=LONGEST_WINDOW).contains(&time) {
        return Err("measure for 2s to 1h".to_owned());
    }
    Ok(time)
}

/// How long `overhead` measures.
pub(super) fn parse_overhead_time(text: &str) -> Result<Duration, String> {
    let time = parse_time(text)?;
    if !(SHORTEST_OVERHEAD..=LONGEST_OVERHEAD).contains(&time) {
        return Err("give 20s to 10m: a shorter measurement is too noisy".to_owned());
    }
    Ok(time)
}

/// Seconds, or a number with a unit.
fn parse_time(text: &str) -> Result<Duration, String> {
    const HOW: &str = "give seconds, or a number with a unit, such as 10s or 2m";
    match text.parse::<u64>() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text).map_err(|_| format!("not a time; {HOW}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_overhead() {
        assert_eq!(parse_max_overhead("off"), Ok(MaxOverhead(None)));
        assert_eq!(parse_max_overhead("0.5"), Ok(MaxOverhead(Some(0.5))));
        for wrong in ["", "0", "-1", "101", "NaN", "inf", "5%", "on"] {
            assert!(parse_max_overhead(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn windows() {
        assert_eq!(parse_window("10"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_window("2m"), Ok(Duration::from_mins(2)));
        for wrong in ["", "0", "4s", "-1", "2h", "soon"] {
            assert!(parse_window(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers() {
        assert_eq!((parse_count("1"), parse_rows("20")), (Ok(1), Ok(20)));
        assert_eq!((parse_frequency("1"), parse_frequency("4999")), (Ok(1), Ok(4999)));
        for wrong in ["", "0", "-1", "1.5", "many", "99999999999999999999"] {
            assert!(parse_count(wrong).is_err() && parse_rows(wrong).is_err(), "{wrong}");
            assert!(parse_frequency(wrong).is_err(), "{wrong}");
        }
        assert!(parse_frequency("5000").is_err());
    }

    #[test]
    fn speeds() {
        assert_eq!(parse_speed("0.5"), Ok(0.5));
        for wrong in ["0", "-1", "nan", "inf", "1e9", "fast"] {
            assert!(parse_speed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn moments() {
        assert_eq!(parse_moment("90s"), Ok(Moment::After(Duration::from_secs(90))));
        assert_eq!(parse_moment("1.5"), Ok(Moment::After(Duration::from_millis(1500))));
        assert_eq!(parse_moment("1970-01-01T00:00:02Z"), Ok(Moment::At(2_000_000_000)));
        assert_eq!(parse_moment("1970-01-01 00:00:02"), Ok(Moment::At(2_000_000_000)));
        for wrong in ["", "soon", "-5", "nan", "1e30", "2026-13-01T00:00:00Z", "1969-01-01T00:00:00Z"] {
            assert!(parse_moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn delays() {
        assert_eq!(parse_delay("1"), Ok(Duration::from_secs(1)));
        assert_eq!(parse_delay("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_delay("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_delay("1m"), Ok(Duration::from_mins(1)));
        for wrong in ["0", "-1", "nan", "inf", "1e99", "", "s", "50ms", "25h", "1 parsec"] {
            assert!(parse_delay(wrong).is_err(), "{wrong}");
        }
    }
}
