//! The model: what a frame is, its schema, and the arithmetic of counters and samples. No I/O.

mod cpu_list;
mod delta;
mod drivers;
mod fields;
mod merge;
mod model;
mod netns;
mod schema;
mod share;
mod stacks;
mod stage;
pub mod topology;

pub use self::{
    cpu_list::cpu_list,
    delta::*,
    drivers::*,
    fields::*,
    merge::{Machine, Merged},
    model::*,
    netns::Netns,
    schema::schema,
    share::Share,
    stacks::SampledStack,
    stage::Stage,
};
