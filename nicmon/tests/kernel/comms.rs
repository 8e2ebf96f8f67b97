//! Names of threads: as many and as odd as there may be.

use std::{
    fs::{self, File},
    io::{Seek as _, Write as _},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nicmon::frame::Context;
use testkit::load::{Receive, UdpLoad, VethPair};

use crate::{child::Nicmon, loads::plan, tell};

/// So many names, each but once.
const NAMES: u32 = 10_000;
/// So fast that they last for three seconds.
const PAUSE: Duration = Duration::from_micros(300);

/// The thread that sends, whose softirqs poll the veth, changes its name 10,000 times, to bytes that are no UTF-8.
pub(crate) fn ten_thousand() -> Result<()> {
    let pair = VethPair::create("nicmon-t-comms")?;
    pair.receive_by(Receive::Napi, 0)?;
    let load = UdpLoad::start(&pair, plan(0))?;
    let mut nicmon = Nicmon::start(&["-F", "4999", "-d", "500ms"])?;
    nicmon.more(1)?;
    let mut comm = File::options().write(true).open(thread_named("udp-sender")?.join("comm"))?;
    for number in 0..NAMES {
        let start = Instant::now();
        comm.rewind()?;
        comm.write_all(&odd_name(number))?;
        thread::sleep(PAUSE.saturating_sub(start.elapsed()));
    }
    nicmon.more(2)?;
    let frames = nicmon.stop()?;
    load.stop()?;

    let (mut samples, mut lost, mut odd) = (0, 0, std::collections::BTreeSet::new());
    for frame in frames.iter().map(|arrived| &arrived.frame) {
        let sampling = frame.host.sampling.context("the CPUs are not sampled")?;
        lost += sampling.lost;
        for driver in frame.drivers.iter().flatten() {
            samples += driver.samples.unwrap_or(0);
            let outside_irqs =
                driver.functions.iter().filter(|function| function.context != Context::Hardirq);
            let listed: u64 = outside_irqs.map(|function| function.samples).sum();
            ensure!(
                driver.functions.len() <= 20 && listed <= driver.samples.unwrap_or(0),
                "{listed} samples in functions of {driver:?}"
            );
            odd.extend(
                driver
                    .functions
                    .iter()
                    .map(|function| &function.comm)
                    .filter(|comm| comm.contains('\u{fffd}')),
            );
        }
    }
    tell(
        "10,000 comms",
        &format!("{samples} samples in drivers, {lost} lost, {} odd names listed", odd.len()),
    );
    ensure!(lost == 0, "{lost} samples are lost");
    ensure!(odd.len() > 20, "only {} odd names are there", odd.len());
    Ok(())
}

/// Bytes that no text has: a control character, a quotation mark, an escape, half a character of UTF-8.
fn odd_name(number: u32) -> Vec<u8> {
    let mut name = vec![0x1b, b'"', b'\\', 0xc3, b'%'];
    name.extend(format!("{number:08x}").bytes());
    name
}

/// The directory of the thread of this process that has this name.
fn thread_named(name: &str) -> Result<PathBuf> {
    for thread in fs::read_dir("/proc/self/task")? {
        let directory = thread?.path();
        if fs::read_to_string(directory.join("comm")).is_ok_and(|comm| comm.trim() == name) {
            return Ok(directory);
        }
    }
    anyhow::bail!("there is no thread {name}")
}
