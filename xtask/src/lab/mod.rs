//! `cargo xtask lab`: nicmon on real drivers, in a QEMU guest of its own, beside what the guest's kernel and
//! other tools say.

mod capture;
mod changes;
mod counts;
mod device;
mod download;
mod fetch;
mod frames;
mod guest;
mod handler;
mod initramfs;
mod job;
mod kernel;
mod net;
mod pairs;
mod perf;
mod plan;
mod results;
mod rules;
mod scenarios;
mod stacks;
mod table;

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use device::Device;
use guest::{Machine, Tools};
use kernel::{Kernel, Series};
use plan::Plan;
use table::Verdicts;
use tempfile::TempDir;
use testkit::process;

use crate::workspace::{self, Profile};

/// Modules that every guest needs; those that a kernel has built in are not looked for.
const MODULES: [&str; 6] = ["virtio_pci", "9pnet_virtio", "9p", "failover", "net_failover", "mii"];

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask lab
  cargo xtask lab --kernel 7.3 --device virtio --queues 4
  cargo xtask lab --device igb --device e1000 --megabytes 50 --keep
  cargo xtask lab --case stacks --kernel 5.10
  cargo xtask lab --case pairs                           some 5 minutes
  cargo xtask lab --capture nicmon/tests/fixtures/guests --kernel 6.12")]
pub(crate) struct Args {
    /// What is tried
    #[arg(long, value_enum, default_value = "download")]
    case: Case,
    /// The guest's kernel: of Debian's, the series
    #[arg(long, value_enum, default_value = "6.1")]
    kernel: Series,
    /// A NIC of the guest; may be repeated [default: those that the case is about]
    #[arg(long = "device", value_enum, value_name = "NAME")]
    chosen: Vec<Device>,
    /// Megabytes of each transfer; below 100 there are few samples
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    megabytes: u64,
    /// Queues of virtio [default: 1]; the guest gets as many CPUs, at least 2
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=8))]
    queues: Option<u32>,
    /// Store what the guest's nicmon and ethtool, sysfs and procfs say of its NICs, as a fixture, in this
    /// folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "case")]
    capture: Option<PathBuf>,
    /// Leave what the guest brought out, and say where
    #[arg(long)]
    keep: bool,
    /// Try this nicmon instead of building it
    #[arg(long, hide = true)]
    nicmon: Option<PathBuf>,
}

/// What is tried in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Case {
    /// A download over each NIC: packets, interrupts, and the driver's share of samples as perf counts them
    Download,
    /// Downloads and uploads, several flows at a time: packets, and the interrupts of each queue
    Counts,
    /// A driver unloaded and loaded again, a CPU taken offline and online again, while nicmon runs
    Changes,
    /// A thousand rules of iptables: netfilter becomes the largest stage, as perf sees it
    Rules,
    /// Time in interrupt handlers (8139cp's, e1000's), beside what kprobes measure, with either attached
    /// first
    Handler,
    /// 40 recordings of a download, 20 over each NIC: of 20 pairs, nicmon compare tells 2 apart at most
    Pairs,
    /// A recording with --stacks of a download: call stacks in the driver's polls, as perf sees them
    Stacks,
    /// Observations for nicmon's scenario tests, beside the kernel's counters; with --keep they stay
    Scenarios,
}

impl Args {
    fn plan(&self) -> Plan {
        match self.case {
            _ if self.capture.is_some() => capture::plan(self),
            Case::Download => download::plan(self),
            Case::Counts => counts::plan(self),
            Case::Changes => changes::plan(self),
            Case::Rules => rules::plan(self),
            Case::Handler => handler::plan(self),
            Case::Pairs => pairs::plan(self),
            Case::Stacks => stacks::plan(self),
            Case::Scenarios => scenarios::plan(self),
        }
    }
}

/// A guest that has done its job.
struct Done<'a> {
    plan: &'a Plan,
    /// Its kernel's release.
    release: &'a str,
    tools: &'a Tools,
    /// The nicmon that was tried.
    nicmon: &'a Path,
    /// What it brought out.
    out: PathBuf,
}

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let nicmon = workspace::as_root_with_nicmon(args.nicmon.as_ref(), Profile::Dist)?;
    process::catch_signals()?;
    let cache = env::var_os("NICMON_LAB").map_or_else(|| workspace::target_dir().join("lab"), PathBuf::from);
    let cache = std::path::absolute(cache)?;
    let tools = Tools::get(&cache)?;
    let kernel = Kernel::get(args.kernel, &cache)?;
    process::check_signalled()?;

    let mut work =
        tempfile::Builder::new().prefix("nicmon-lab-").tempdir().context("cannot make a folder")?;
    if args.keep {
        work.disable_cleanup(true);
        eprintln!("xtask: what the guest brings out stays in {}", work.path().join("out").display());
    }
    let plan = args.plan();
    boot(&plan, &nicmon, &tools, &kernel, &work)?;

    let done = Done {
        plan: &plan,
        release: &kernel.release,
        tools: &tools,
        nicmon: &nicmon,
        out: work.path().join("out"),
    };
    if let Some(folder) = &args.capture {
        capture::store(&done, args.kernel, folder)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("Linux {} in a guest\n", done.release);
    let mut verdicts = Verdicts::default();
    match args.case {
        Case::Download => download::judge(&done, &mut verdicts)?,
        Case::Counts => counts::judge(&done, &mut verdicts)?,
        Case::Changes => changes::judge(&done, &mut verdicts)?,
        Case::Rules => rules::judge(&done, &mut verdicts)?,
        Case::Handler => handler::judge(&done, &mut verdicts)?,
        Case::Pairs => pairs::judge(&done, &mut verdicts)?,
        Case::Stacks => stacks::judge(&done, &mut verdicts)?,
        Case::Scenarios => scenarios::judge(&done)?,
    }
    Ok(if verdicts.all_hold() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes the guest's files, boots it, and waits for its end.
fn boot(plan: &Plan, nicmon: &Path, tools: &Tools, kernel: &Kernel, work: &TempDir) -> Result<()> {
    let at = |part: &str| work.path().join(part);
    let busybox = tools.busybox()?;
    std::fs::create_dir(at("out"))?;
    std::fs::create_dir(at("www"))?;

    let root = initramfs::Root::create(&at("root"), &busybox, job::INIT)?;
    root.add_program(nicmon, "nicmon")?;
    for program in &plan.programs {
        root.add_program(&initramfs::find_program(program)?, program)?;
    }
    for (file, path) in &plan.binaries {
        root.add_file(file, path)?;
    }
    for (path, text) in &plan.files {
        root.write(path, text)?;
    }
    root.write("job", &job::whole(&plan.script))?;
    let drivers = plan.devices.iter().map(|device| device.module());
    let wanted: Vec<_> = MODULES.into_iter().chain(plan.modules.iter().copied()).chain(drivers).collect();
    let modules = kernel.write_modules(&wanted, &root.modules())?;
    root.write("modules/order", &(modules.join("\n") + "\n"))?;
    root.pack(&busybox, &at("initramfs"))?;
    kernel.write_image(&at("vmlinux"))?;

    let network = net::Network::create(&plan.devices, plan.queues, plan.bytes, &busybox, &at("www"))?;
    let machine = Machine {
        image: &at("vmlinux"),
        initramfs: &at("initramfs"),
        shared: &at("out"),
        console: &at("console"),
        devices: &plan.devices,
        queues: plan.queues,
        cpus: plan.cpus(),
    };
    eprintln!("xtask: booting Linux {} with {}", kernel.release, names(&plan.devices));
    guest::run(tools, &machine, &network, plan.limit())?;
    let log = std::fs::read_to_string(at("out/log")).unwrap_or_default();
    if !log.ends_with("finished\n") {
        anyhow::bail!(
            "the guest's job did not finish: {}; {}",
            log.trim(),
            guest::console_end(&at("console"))
        );
    }
    Ok(())
}

fn names(devices: &[Device]) -> String {
    devices.iter().map(|device| device.model()).collect::<Vec<_>>().join(", ")
}
