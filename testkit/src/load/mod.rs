//! Network load that stays inside the machine: namespaces, a veth pair and senders. All of it has a time
//! limit and is removed afterwards.
//!
//! ```no_run
//! use std::time::Duration;
//! use testkit::load::{Receive, UdpLoad, UdpPlan, VethPair};
//!
//! # fn main() -> anyhow::Result<()> {
//! let pair = VethPair::create("nicmon-example")?;
//! pair.receive_by(Receive::Napi, 0)?;
//! let plan = UdpPlan { pps: 60_000, limit: Duration::from_secs(5), sender_cpu: 0, busy_poll: false };
//! let load = UdpLoad::start(&pair, plan)?;
//! std::thread::sleep(Duration::from_secs(2));
//! println!("{:?}", load.stop()?);
//! # Ok(())
//! # }
//! ```

mod cpu;
mod flows;
mod netns;
mod pace;
mod tcp;
mod udp;
mod veth;

pub use cpu::{online_cpus, other_cpu, pin_thread};
pub use flows::{FlowsPlan, UdpFlows};
pub use netns::Namespace;
pub use pace::{Phases, Sent};
pub use tcp::tcp_throughput;
pub use udp::{Totals, UdpLoad, UdpPlan};
pub use veth::{Receive, VethPair};
