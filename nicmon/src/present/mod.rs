//! How figures, names and tables look to people. All outputs share this module, so the same value looks the
//! same on the screen and in tables, reports, comparisons and HTML pages.

pub(crate) mod findings;
pub(crate) mod json;
pub(crate) mod table;
pub(crate) mod text;
