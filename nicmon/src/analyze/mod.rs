//! What is made of many frames: pure functions of them.

pub mod compare;
mod cost;
pub mod html;
pub mod report;
