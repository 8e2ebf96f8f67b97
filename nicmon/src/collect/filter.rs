//! Which parts of a frame are shown: `-i` and `-C`.

use std::collections::BTreeSet;

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::frame::cpu_list;

/// The user asked for something that does not exist.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The pattern is malformed.
    #[error("-i {pattern}: {}\nGive a name or a pattern such as 'eth*' or 'eth[0-3]'.", source.kind())]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        source: globset::Error,
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

/// What to show; the default is everything.
#[derive(Debug, Default)]
pub struct Filter {
    patterns: Vec<Glob>,
    interfaces: Option<GlobSet>,
    cpus: Option<BTreeSet<u32>>,
}

impl Filter {
    /// Selects interfaces by glob pattern and CPUs by number. An empty list means all.
    ///
    /// # Errors
    /// A pattern is malformed.
    pub fn new(patterns: &[String], cpus: &[u32]) -> Result<Self, FilterError> {
        let patterns = patterns
            .iter()
            .map(|pattern| {
                Glob::new(pattern).map_err(|source| FilterError::Pattern { pattern: pattern.clone(), source })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut set = GlobSetBuilder::new();
        for pattern in &patterns {
            set.add(pattern.clone());
        }
        let set =
            set.build().map_err(|source| FilterError::Pattern { pattern: String::from("(all)"), source })?;
        Ok(Self {
            interfaces: (!patterns.is_empty()).then_some(set),
            patterns,
            cpus: (!cpus.is_empty()).then(|| cpus.iter().copied().collect()),
        })
    }

    /// True if the interface is shown.
    pub fn shows_interface(&self, name: &str) -> bool {
        self.interfaces.as_ref().is_none_or(|set| set.is_match(name))
    }

    /// True if the CPU is shown.
    pub fn shows_cpu(&self, cpu: u32) -> bool {
        self.cpus.as_ref().is_none_or(|cpus| cpus.contains(&cpu))
    }

    /// True if the user asked for the CPU by its number.
    pub(super) fn names_cpu(&self, cpu: u32) -> bool {
        self.cpus.as_ref().is_some_and(|cpus| cpus.contains(&cpu))
    }

    /// Fails if a pattern matches none of the names.
    pub(super) fn check_interfaces(&self, names: BTreeSet<String>) -> Result<(), FilterError> {
        for pattern in &self.patterns {
            let matcher = pattern.compile_matcher();
            if !names.iter().any(|name| matcher.is_match(name)) {
                let existing: Vec<String> = names.into_iter().collect();
                return Err(FilterError::Interface {
                    pattern: pattern.glob().to_owned(),
                    existing: existing.join(", "),
                });
            }
        }
        Ok(())
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

    fn names() -> BTreeSet<String> {
        ["lo", "eth0", "eth1"].map(String::from).into()
    }

    #[test]
    fn everything_is_shown_by_default() {
        let filter = Filter::new(&[], &[]).unwrap();
        assert!(filter.shows_interface("eth0") && filter.shows_cpu(7));
        assert!(filter.check_interfaces(names()).is_ok());
    }

    #[test]
    fn globs_choose_interfaces() {
        let filter = Filter::new(&["eth*".into()], &[]).unwrap();
        assert!(filter.shows_interface("eth1") && !filter.shows_interface("lo"));
    }

    #[test]
    fn an_unknown_interface_is_an_error_that_names_the_others() {
        let filter = Filter::new(&["wlan*".into()], &[]).unwrap();
        let message = filter.check_interfaces(names()).unwrap_err().to_string();
        assert_eq!(message, "-i wlan*: no interface matches\nExisting interfaces: eth0, eth1, lo");
    }

    #[test]
    fn an_unknown_cpu_is_an_error_that_names_the_others() {
        let filter = Filter::new(&[], &[9999]).unwrap();
        let message = filter.check_cpus(&[0, 1, 2, 3, 8]).unwrap_err().to_string();
        assert_eq!(message, "-C 9999: this machine has no such CPU; possible CPUs are 0-3,8");
    }
}
