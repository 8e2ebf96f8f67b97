//! Which parts of a frame are shown: `-i` and `-C`.

use std::collections::BTreeSet;

use glob::{Pattern as Glob, PatternError};

use crate::frame::cpu_list;

/// The user asked for something that does not exist.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The pattern is malformed.
    #[error("-i {pattern}: {}\nGive a name or a pattern such as 'eth*' or 'eth[0-3]'.", source.msg)]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        source: PatternError,
    },
    /// No interface matches.
    #[error("-i {pattern}: no interface matches\nExisting interfaces: {existing}")]
    Interface {
        /// The pattern.
        pattern: String,
        /// The interfaces that exist.
        existing: String,
    },
    /// No CPU has this number.
    #[error("-C {cpu}: this machine has no such CPU; possible CPUs are {possible}")]
    Cpu {
        /// The number.
        cpu: u32,
        /// The possible CPUs.
        possible: String,
    },
}

/// What an interface is called: its name first, then its alternative names.
pub(super) type Names = Vec<String>;

/// Starts the names of rows that are no interfaces, such as `(backlog)`. Frames have them only while there is
/// something to show, and which modules may have one (`(mptcp)`) is not known before.
const NO_INTERFACE: char = '(';

/// Starts a pattern of interfaces that are not shown.
const EXCLUDES: char = '!';

/// What to show; the default is everything.
#[derive(Debug, Default)]
pub struct Filter {
    included: Vec<Pattern>,
    excluded: Vec<Pattern>,
    cpus: Option<BTreeSet<u32>>,
}

/// A pattern of the user's.
#[derive(Debug)]
struct Pattern {
    text: String,
    globs: Vec<Glob>,
}

impl Pattern {
    /// `ip link` shows a veth as `veth0@if37`, so what follows the @ counts only if a name has one. Before an
    /// @ in a class, as in `[!@]*`, there is no whole pattern.
    fn new(text: &str) -> Result<Self, FilterError> {
        let malformed = |source| FilterError::Pattern { pattern: text.to_owned(), source };
        let glob = text.strip_prefix(EXCLUDES).unwrap_or(text);
        let mut globs = vec![Glob::new(glob).map_err(malformed)?];
        globs.extend(glob.match_indices('@').find_map(|(at, _)| Glob::new(&glob[..at]).ok()));
        Ok(Self { text: text.to_owned(), globs })
    }

    fn matches<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> bool {
        names.any(|name| self.globs.iter().any(|glob| glob.matches(name)))
    }
}

impl Filter {
    /// Selects interfaces by glob pattern, and CPUs by number. A pattern that starts with ! excludes. Without
    /// another pattern or a number, all are shown.
    ///
    /// # Errors
    /// A pattern is malformed.
    pub fn new(patterns: &[String], cpus: &[u32]) -> Result<Self, FilterError> {
        let all = |is_excluding: bool| {
            let chosen = patterns.iter().filter(move |pattern| pattern.starts_with(EXCLUDES) == is_excluding);
            chosen.map(|pattern| Pattern::new(pattern)).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            included: all(false)?,
            excluded: all(true)?,
            cpus: (!cpus.is_empty()).then(|| cpus.iter().copied().collect()),
        })
    }

    /// True if the interface with these names is shown. Each of its names counts.
    pub fn shows_interface<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> bool {
        let names: Vec<&str> = names.into_iter().collect();
        let is_matched = |pattern: &Pattern| pattern.matches(names.iter().copied());
        (self.included.is_empty() || self.included.iter().any(is_matched))
            && !self.excluded.iter().any(is_matched)
    }

    /// True if the CPU is shown.
    pub fn shows_cpu(&self, cpu: u32) -> bool {
        self.cpus.as_ref().is_none_or(|cpus| cpus.contains(&cpu))
    }

    /// True if the user asked for the CPU by its number.
    pub(super) fn names_cpu(&self, cpu: u32) -> bool {
        self.cpus.as_ref().is_some_and(|cpus| cpus.contains(&cpu))
    }

    /// Fails if a pattern of interfaces to show matches none of these. One of other rows may do so later.
    pub(super) fn check_interfaces(&self, interfaces: &[Names]) -> Result<(), FilterError> {
        let is_there = |pattern: &Pattern| {
            pattern.text.starts_with(NO_INTERFACE)
                || interfaces.iter().any(|names| pattern.matches(names.iter().map(String::as_str)))
        };
        match self.included.iter().find(|pattern| !is_there(pattern)) {
            Some(pattern) => {
                let names = interfaces.iter().filter_map(|names| Some(names.first()?.as_str()));
                let existing: BTreeSet<&str> = names.filter(|name| !name.starts_with(NO_INTERFACE)).collect();
                Err(FilterError::Interface {
                    pattern: pattern.text.clone(),
                    existing: existing.into_iter().collect::<Vec<_>>().join(", "),
                })
            }
            None => Ok(()),
        }
    }

    /// Fails if a CPU is not a possible one.
    pub(super) fn check_cpus(&self, possible: &[u32]) -> Result<(), FilterError> {
        match self.cpus.iter().flatten().find(|cpu| !possible.contains(cpu)) {
            Some(cpu) => Err(FilterError::Cpu { cpu: *cpu, possible: cpu_list(possible) }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interfaces() -> Vec<Names> {
        vec![vec!["lo".into()], vec!["eth0".into(), "uplink".into()], vec!["eth1".into()], vec!["a@b".into()]]
    }

    /// The names of the interfaces that these patterns show.
    fn shown(patterns: &[&str]) -> Vec<String> {
        let filter = Filter::new(&patterns.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), &[]);
        let filter = filter.unwrap();
        let shows = |names: &&Names| filter.shows_interface(names.iter().map(String::as_str));
        interfaces().iter().filter(shows).map(|names| names[0].clone()).collect()
    }

    #[test]
    fn everything_is_shown_by_default() {
        let filter = Filter::new(&[], &[]).unwrap();
        assert!(filter.shows_cpu(7) && filter.check_interfaces(&interfaces()).is_ok());
        assert_eq!(shown(&[]), ["lo", "eth0", "eth1", "a@b"]);
    }

    #[test]
    fn globs_choose_interfaces() {
        for (patterns, expected) in [
            (&["eth*"][..], &["eth0", "eth1"][..]),
            (&["lo", "eth1"], &["lo", "eth1"]),
            (&["uplink"], &["eth0"]),
            (&["up*"], &["eth0"]),
            (&["eth1@if37"], &["eth1"]),
            (&["eth*@if37"], &["eth0", "eth1"]),
            (&["a@b"], &["a@b"]),
            (&["[!@eu]*"], &["lo", "a@b"]),
            (&["eth[!@]@if37"], &["eth0", "eth1"]),
            (&["!eth*"], &["lo", "a@b"]),
            (&["!uplink"], &["lo", "eth1", "a@b"]),
            (&["!eth0@if3", "!lo"], &["eth1", "a@b"]),
            (&["eth*", "!eth1"], &["eth0"]),
            (&["!eth1", "eth*"], &["eth0"]),
            (&["!*"], &[]),
        ] {
            assert_eq!(shown(patterns), expected, "{patterns:?}");
        }
    }

    #[test]
    fn an_unknown_interface_is_an_error_that_names_the_others() {
        let filter = Filter::new(&["wlan*".into()], &[]).unwrap();
        let message = filter.check_interfaces(&interfaces()).unwrap_err().to_string();
        let expected = "-i wlan*: no interface matches\nExisting interfaces: a@b, eth0, eth1, lo";
        assert_eq!(message, expected);
        for fine in ["uplink", "eth0@if2", "!wlan*"] {
            assert!(Filter::new(&[fine.into()], &[]).unwrap().check_interfaces(&interfaces()).is_ok());
        }
        for malformed in ["eth[", "![", "eth[@x", "eth[!@"] {
            let error = Filter::new(&[malformed.into()], &[]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("-i {malformed}: ")), "{error}");
        }
    }

    #[test]
    fn rows_that_are_no_interfaces_may_come_later() {
        let check = |pattern: &str, there: &[Names]| {
            Filter::new(&[pattern.into()], &[]).unwrap().check_interfaces(there).map_err(|e| e.to_string())
        };
        for row in ["(tasklet)", "(hrtimer)", "(mptcp)", "(backlog)", "(*"] {
            assert_eq!(check(row, &interfaces()), Ok(()), "{row}");
        }
        let rows: Vec<Names> = super::super::assemble::softirq_rows().map(|row| vec![row.into()]).collect();
        assert_eq!(check("*tasklet*", &rows), Ok(()));
        let error = check("x", &rows).unwrap_err();
        assert!(error.ends_with("Existing interfaces: "), "{error}");
    }

    #[test]
    fn an_unknown_cpu_is_an_error_that_names_the_others() {
        let filter = Filter::new(&[], &[9999]).unwrap();
        let message = filter.check_cpus(&[0, 1, 2, 3, 8]).unwrap_err().to_string();
        assert_eq!(message, "-C 9999: this machine has no such CPU; possible CPUs are 0-3,8");
    }
}
