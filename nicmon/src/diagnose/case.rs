//! What a rule says about one subject in one frame.

use std::collections::HashSet;

use super::view::View;
use crate::frame::{Cause, Contributing, Evidence, FindingId, Severity, Subject, Unit};

/// A rule.
pub(super) struct Rule {
    pub(super) id: FindingId,
    pub(super) hold: Hold,
    /// The cases in a frame. An error says why nothing can be judged.
    pub(super) cases: fn(&View<'_>, &Standing) -> Result<Cases, String>,
}

/// What a rule says about a frame.
#[derive(Default)]
pub(super) struct Cases {
    /// All that are bad, and those between good and bad. Of the subjects that have a finding already, also
    /// the good ones; one that is not mentioned could not be judged.
    pub(super) all: Vec<Case>,
    /// Why a part could not be judged that may be bad.
    pub(super) not_judged: Option<String>,
}

impl From<Vec<Case>> for Cases {
    fn from(all: Vec<Case>) -> Self {
        Self { all, not_judged: None }
    }
}

/// The subjects of a rule that have a finding now.
pub(super) type Standing = HashSet<Key>;

/// How long it takes until a condition becomes a finding, and until that is over. In seconds.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "the unit is in the name")]
pub(super) struct Hold {
    /// Bad for this long ...
    pub(super) bad_s: f64,
    /// ... of this long.
    pub(super) of_s: f64,
    /// Good for this long without a break.
    pub(super) good_s: f64,
}

impl Hold {
    /// For what matters once it lasts.
    pub(super) const LASTING: Self = Self { bad_s: 3.0, of_s: 4.0, good_s: 5.0 };
}

/// How a subject does in one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Good,
    /// Neither: what is a finding stays one, what is none stays none.
    Between,
    Bad,
}

/// What tells a rule's subjects apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Machine,
    Cpu(u32),
    /// Inode of the namespace, and interface index.
    Nic(u32, u32),
    Netns(u32),
}

/// What a rule says about one subject in one frame.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) key: Key,
    pub(super) level: Level,
    pub(super) severity: Severity,
    pub(super) cause: Option<Cause>,
    pub(super) contributing: Vec<Contributing>,
    pub(super) subject: Subject,
    pub(super) evidence: Vec<Evidence>,
    pub(super) why: String,
    pub(super) caveats: Vec<String>,
}

impl Case {
    pub(super) fn new(key: Key, level: Level, severity: Severity, subject: Subject, why: String) -> Self {
        let (cause, contributing, evidence, caveats) = (None, Vec::new(), Vec::new(), Vec::new());
        Self { key, level, severity, cause, contributing, subject, evidence, why, caveats }
    }
}

/// A figure with the limit that it is compared with. `what` is what people call it.
pub(super) fn compared(what: String, field: String, value: f64, unit: Unit, threshold: f64) -> Evidence {
    Evidence { what, field, value: rounded(value), unit, threshold: Some(threshold) }
}

/// A figure that explains.
pub(super) fn told(what: String, field: String, value: f64, unit: Unit) -> Evidence {
    Evidence { what, field, value: rounded(value), unit, threshold: None }
}

/// More than two digits after the point say nothing about a machine. JSON has no infinity.
fn rounded(value: f64) -> f64 {
    (value.clamp(-1e15, 1e15) * 100.0).round() / 100.0
}
