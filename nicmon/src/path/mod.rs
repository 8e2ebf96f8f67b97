//! Where the packets of one NIC go: the kernel's counters and some programs, read twice, as a ledger.

mod counters;
mod ledger;
mod model;
mod stage;
mod time;
mod xdp;

pub use self::{
    counters::Counters,
    ledger::{Observed, ledger},
    model::{
        Loss, Onward, PacketPath, PathStage, QueueShare, SCHEMA, StageCounts, all_elsewhere, all_lost, schema,
    },
};
