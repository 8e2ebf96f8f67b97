//! The model: what a frame is, its schema, and the arithmetic on counters and samples. No I/O.

mod bounded;
mod cpu;
mod cpu_list;
mod delta;
mod drivers;
mod fields;
mod findings;
mod flows;
mod histogram;
mod irq;
mod layers;
mod measure;
mod merge;
mod model;
mod netns;
mod network;
mod nic;
mod own;
mod percentiles;
mod sampled_part;
mod schema;
mod share;
mod sockets;
mod stacks;
mod stage;
pub mod topology;
mod wanted;
mod windowed;

pub(crate) use self::{bounded::Bounded, histogram::HistogramSum, schema::schema_of};
pub use self::{
    cpu::*,
    cpu_list::cpu_list,
    delta::*,
    drivers::*,
    fields::*,
    findings::*,
    flows::Flows,
    histogram::{Histogram, SoftirqTimes},
    irq::*,
    layers::{Layers, can_be_polled},
    measure::{Estimate, Measure},
    merge::{Machine, Merged},
    model::*,
    netns::*,
    network::NetworkLoad,
    nic::*,
    own::{OwnCost, OwnCpu, OwnProgram},
    percentiles::{Percentiles, What, percentiles},
    sampled_part::SampledPart,
    schema::schema,
    share::Share,
    sockets::*,
    stacks::SampledStack,
    stage::Stage,
    wanted::{Wanted, WhoseFlows},
    windowed::{LEAST_WINDOWS, Spread, Windowed, Windows, sum_of_intervals},
};
