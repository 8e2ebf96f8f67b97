//! `cargo xtask lab`: runs nicmon on real drivers in a QEMU guest, and compares its figures with those of the
//! guest's kernel and of other tools.

mod capture;
mod changes;
mod counts;
mod device;
mod download;
mod fetch;
mod findings;
mod frames;
mod guest;
mod handler;
mod initramfs;
mod job;
mod kernel;
mod load;
mod losses;
mod net;
mod pairs;
mod path;
mod perf;
mod plan;
mod results;
mod rules;
mod scenarios;
mod sockets;
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

/// Modules that every guest needs. A kernel may have some of them built in.
const MODULES: [&str; 6] = ["virtio_pci", "9pnet_virtio", "9p", "failover", "net_failover", "mii"];

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask lab
  cargo xtask lab --kernel 7.3 --device virtio --queues 4
  cargo xtask lab --device igb --device e1000 --megabytes 50 --keep
  cargo xtask lab --case stacks --kernel 5.10
  cargo xtask lab --case findings --only one-queue --only balanced --kernel 6.12
  cargo xtask lab --case pairs                           some 5 minutes
  cargo xtask lab --capture nicmon/tests/fixtures/guests --kernel 6.12")]
pub(crate) struct Args {
    /// What to test
    #[arg(long, value_enum, default_value = "download")]
    case: Case,
    /// The Debian kernel series that the guest runs
    #[arg(long, value_enum, default_value = "6.1")]
    kernel: Series,
    /// A NIC of the guest; may be repeated [default: the NICs of the case]
    #[arg(long = "device", value_enum, value_name = "NAME")]
    chosen: Vec<Device>,
    /// Megabytes per transfer; below 100 there are few samples
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    megabytes: u64,
    /// Queues of virtio NICs [default: 1]; the guest gets as many CPUs, but at least 2
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=8))]
    queues: Option<u32>,
    /// CPUs of the guest [default: 2, or one for each queue]; this machine's threads emulate them
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=255))]
    cpus: Option<u32>,
    /// Store what nicmon, ethtool, sysfs and procfs report about the guest's NICs as a fixture in this folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "case")]
    capture: Option<PathBuf>,
    /// Guests to boot for each scenario of --case findings
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=100)
    )]
    runs: u32,
    /// A scenario of --case findings; may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Keep the guest's output, and print where it is
    #[arg(long)]
    keep: bool,
    /// Test this nicmon instead of building one
    #[arg(long, hide = true)]
    nicmon: Option<PathBuf>,
}

/// What to test in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Case {
    /// A download over each NIC: packets, interrupts, and the driver's share of samples as perf counts them
    Download,
    /// Downloads and uploads, several flows at a time: packets, and the interrupts of each queue
    Counts,
    /// A driver unloaded and loaded again, a CPU taken offline and online again, while nicmon runs
    Changes,
    /// A thousand iptables rules: netfilter becomes the largest stage, in agreement with perf
    Rules,
    /// Time in the interrupt handlers of 8139cp and e1000, beside kprobes, with each tool attached first once
    Handler,
    /// 40 recordings of a download, 20 over each NIC: nicmon compare finds a difference in at most 2 of 20
    /// pairs
    Pairs,
    /// A recording of a download with --stacks: call stacks in the driver's polls agree with perf's
    Stacks,
    /// nicmon path of a NIC under a load of known size: what was sent came in or is lost by a counter
    Path,
    /// nicmon path of a virtio NIC whose packets are lost on purpose, by six causes: each is where it belongs
    Losses,
    /// Guests saturated on purpose, or only busy: nicmon's findings name what is wrong, and nothing else
    Findings,
    /// Observations for nicmon's scenario tests, with the kernel's counters; use --keep to keep them
    Scenarios,
}

type Judge = fn(&Done<'_>, &mut Verdicts) -> Result<()>;

/// A guest that has finished its job.
struct Done<'a> {
    plan: &'a Plan,
    /// The release of its kernel.
    release: &'a str,
    tools: &'a Tools,
    /// The nicmon that was tested.
    nicmon: &'a Path,
    /// The folder with its output.
    out: PathBuf,
}

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let lab = Lab::get(args)?;
    if args.capture.is_some() {
        return lab.run(args, &capture::plan(args), |done, _| capture::store(done, args));
    }
    let (plan, judge): (Plan, Judge) = match args.case {
        Case::Download => (download::plan(args), download::judge),
        Case::Counts => (counts::plan(args), counts::judge),
        Case::Changes => (changes::plan(args), changes::judge),
        Case::Rules => (rules::plan(args), rules::judge),
        Case::Handler => (handler::plan(args), handler::judge),
        Case::Pairs => (pairs::plan(args), pairs::judge),
        Case::Stacks => (stacks::plan(args), stacks::judge),
        Case::Path => (path::plan(args), path::judge),
        Case::Losses => (losses::plan(args)?, losses::judge),
        Case::Scenarios => (scenarios::plan(args), |done, _| scenarios::judge(done)),
        // These boot a guest for each scenario and run.
        Case::Findings => return findings::run(args, &lab),
    };
    lab.run(args, &plan, |done, verdicts| {
        println!("Linux {} in a guest\n", done.release);
        judge(done, verdicts)
    })
}

/// What all guests of a run have in common.
struct Lab {
    /// The nicmon to test.
    nicmon: PathBuf,
    tools: Tools,
    kernel: Kernel,
}

impl Lab {
    fn get(args: &Args) -> Result<Self> {
        let nicmon = workspace::as_root_with_nicmon(args.nicmon.as_ref(), Profile::Dist)?;
        process::catch_signals()?;
        let cache =
            env::var_os("NICMON_LAB").map_or_else(|| workspace::target_dir().join("lab"), PathBuf::from);
        let cache = std::path::absolute(cache)?;
        let tools = Tools::get(&cache)?;
        let kernel = Kernel::get(args.kernel, &cache)?;
        process::check_signalled()?;
        Ok(Self { nicmon, tools, kernel })
    }

    /// Boots one guest, and judges what it brings out.
    fn run(
        &self,
        args: &Args,
        plan: &Plan,
        judge: impl FnOnce(&Done<'_>, &mut Verdicts) -> Result<()>,
    ) -> Result<ExitCode> {
        let mut work = work_folder()?;
        if args.keep {
            work.disable_cleanup(true);
            eprintln!("xtask: the guest's output stays in {}", work.path().join("out").display());
        }
        self.boot(plan, work.path())?;
        let done = Done {
            plan,
            release: &self.kernel.release,
            tools: &self.tools,
            nicmon: &self.nicmon,
            out: work.path().join("out"),
        };
        let mut verdicts = Verdicts::of(args.kernel);
        judge(&done, &mut verdicts)?;
        Ok(if verdicts.all_hold() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Creates the guest's files, boots it, and waits until it has finished. What it brings out is then in
    /// the folder `out` of `work`.
    fn boot(&self, plan: &Plan, work: &Path) -> Result<()> {
        let at = |part: &str| work.join(part);
        let (tools, busybox) = (&self.tools, self.tools.busybox()?);
        std::fs::create_dir(at("out"))?;
        std::fs::create_dir(at("www"))?;
        self.write_files(plan, work, &busybox)?;

        let network = net::Network::create(&plan.devices, plan.queues, plan.bytes, &busybox, &at("www"))?;
        let machine = Machine {
            image: &at("vmlinux"),
            initramfs: &at("initramfs"),
            shared: &at("out"),
            console: &at("console"),
            devices: &plan.devices,
            queues: plan.queues,
            cpus: plan.cpus(),
            append: &plan.append,
        };
        eprintln!("xtask: booting Linux {} with {}", self.kernel.release, names(&plan.devices));
        let mut load = load::OnRequest::new(plan.load, &network, machine.shared, plan.limit());
        guest::run(tools, &machine, &network, plan.limit(), || load.follow())?;
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

    /// Writes the kernel's image and the initramfs with everything that the guest runs.
    fn write_files(&self, plan: &Plan, work: &Path, busybox: &Path) -> Result<()> {
        let root = initramfs::Root::create(&work.join("root"), busybox, job::INIT)?;
        root.add_program(&self.nicmon, "nicmon")?;
        for program in &plan.programs {
            root.add_program(&initramfs::find_program(program)?, program)?;
        }
        for (file, path) in &plan.binaries {
            root.add_file(file, path)?;
        }
        for (path, bytes) in &plan.files {
            root.write(path, bytes)?;
        }
        root.write("job", job::whole(&plan.script))?;
        let drivers = plan.devices.iter().map(|device| device.module());
        let more = plan.modules.iter().map(String::as_str);
        let wanted: Vec<_> = MODULES.into_iter().chain(more).chain(drivers).collect();
        let modules = self.kernel.write_modules(&wanted, &root.modules())?;
        root.write("modules/order", &(modules.join("\n") + "\n"))?;
        root.pack(busybox, &work.join("initramfs"))?;
        self.kernel.write_image(&work.join("vmlinux"))
    }
}

/// A folder for the files of one guest.
fn work_folder() -> Result<TempDir> {
    tempfile::Builder::new().prefix("nicmon-lab-").tempdir().context("cannot make a folder")
}

fn names(devices: &[Device]) -> String {
    devices.iter().map(|device| device.model()).collect::<Vec<_>>().join(", ")
}
