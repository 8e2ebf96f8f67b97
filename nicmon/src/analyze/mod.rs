//! What is computed from many frames: reports, comparisons, HTML pages. Pure functions, no I/O.

pub mod brief;
pub mod compare;
mod cost;
pub mod findings;
pub mod html;
pub mod report;
mod timeline;
