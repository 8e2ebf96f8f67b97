//! A large number of odd thread names.

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

/// How many names there are; each is used only once.
const NAMES: u32 = 10_000;
/// The pause between two names: all of them take three seconds.
const PAUSE: Duration = Duration::from_micros(300);

/// The sending thread, whose softirqs poll the veth, changes its name 10,000 times, to bytes that are not
/// UTF-8.
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
    ensure!(odd.len() > 20, "only {} odd names are listed", odd.len());
    Ok(())
}

/// Bytes that break careless code: an escape character, a quotation mark, a backslash, half a UTF-8
/// character.
fn odd_name(number: u32) -> Vec<u8> {
    let mut name = vec![0x1b, b'"', b'\\', 0xc3, b'%'];
    name.extend(format!("{number:08x}").bytes());
    name
}

/// The /proc directory of this process's thread with this name.
fn thread_named(name: &str) -> Result<PathBuf> {
    for thread in fs::read_dir("/proc/self/task")? {
        let directory = thread?.path();
        if fs::read_to_string(directory.join("comm")).is_ok_and(|comm| comm.trim() == name) {
            return Ok(directory);
        }
    }
    anyhow::bail!("no thread is called {name}")
}
