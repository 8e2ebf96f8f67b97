//! How figures, names and tables look to a person: the one place that every output shares, so that the same
//! value reads the same on the screen, in tables, reports, comparisons and pages.

pub(crate) mod json;
pub(crate) mod table;
pub(crate) mod text;
