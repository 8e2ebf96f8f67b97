//! nicmon on this machine's kernel: the real program as a child, under loads of known size.
//!
//! One test at a time, since they share CPUs and the kernel's state; everything they make is removed again,
//! also after a failure. They compare counters and shares, never absolute times: the machine may be busy.

mod bpftrace;
mod check;
mod child;
mod churn;
mod clean;
mod conservation;
mod irqs;
mod loads;
mod modes;
mod namespaces;
mod start;
mod veth;

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use xtask::{
    load::online_cpus,
    process::{is_root, output},
};

/// A test, and what it needs besides root.
struct Test {
    name: &'static str,
    /// Programs that it calls, and their Debian packages.
    programs: &'static [(&'static str, &'static str)],
    run: fn() -> Result<()>,
}

const IP: (&str, &str) = ("ip", "iproute2");
const ETHTOOL: (&str, &str) = ("ethtool", "ethtool");
const BPFTOOL: (&str, &str) = ("bpftool", "bpftool");
const BPFTRACE: (&str, &str) = ("bpftrace", "bpftrace");
const UNSHARE: (&str, &str) = ("unshare", "util-linux");
/// What a veth pair takes.
const NET: &[(&str, &str)] = &[IP, ETHTOOL];

const TESTS: &[Test] = &[
    Test { name: "veth::work_is_rx_packets_on_cpu_0", programs: NET, run: veth::on_cpu_0 },
    Test { name: "veth::work_is_rx_packets_on_cpu_1", programs: NET, run: veth::on_cpu_1 },
    Test { name: "conservation::veth", programs: NET, run: conservation::veth },
    Test { name: "conservation::rps", programs: NET, run: conservation::rps },
    Test { name: "conservation::loopback", programs: &[IP], run: conservation::loopback },
    Test { name: "bpftrace::nicmon_first", programs: &[IP, BPFTRACE, UNSHARE], run: bpftrace::nicmon_first },
    Test {
        name: "bpftrace::bpftrace_first",
        programs: &[IP, BPFTRACE, UNSHARE],
        run: bpftrace::bpftrace_first,
    },
    Test {
        name: "bpftrace::many_packets_a_run",
        programs: &[IP, BPFTRACE, UNSHARE],
        run: bpftrace::many_packets,
    },
    Test { name: "irqs::counts_are_the_kernels", programs: &[], run: irqs::counts },
    Test { name: "irqs::hammered_into_softirqs", programs: &[IP], run: irqs::hammer },
    Test { name: "modes::threaded", programs: NET, run: modes::threaded },
    Test { name: "modes::rps_goes_to_the_backlog", programs: NET, run: modes::rps },
    Test { name: "modes::busy", programs: NET, run: modes::busy },
    Test { name: "namespaces::twins_stay_two", programs: NET, run: namespaces::twins },
    Test { name: "namespaces::deleted_is_gone", programs: NET, run: namespaces::deleted },
    Test { name: "namespaces::odd_names", programs: &[IP], run: namespaces::odd_names },
    Test { name: "churn::a_thousand_pairs", programs: &[IP, ETHTOOL, BPFTOOL], run: churn::churn },
    Test { name: "clean::after_sigint", programs: &[BPFTOOL], run: clean::after_sigint },
    Test { name: "clean::after_sigterm", programs: &[BPFTOOL], run: clean::after_sigterm },
    Test { name: "clean::after_sigkill", programs: &[BPFTOOL], run: clean::after_sigkill },
    Test { name: "clean::after_sigabrt", programs: &[BPFTOOL], run: clean::after_sigabrt },
    Test { name: "clean::after_a_panic", programs: &[BPFTOOL], run: clean::after_a_panic },
    Test { name: "clean::after_a_closed_pipe", programs: &[BPFTOOL], run: clean::after_a_closed_pipe },
    Test { name: "clean::after_a_stalled_reader", programs: &[BPFTOOL], run: clean::after_a_stalled_reader },
    Test { name: "clean::statistics_are_off_while_it_runs", programs: &[BPFTOOL], run: clean::statistics },
    Test { name: "start::first_frame", programs: &[], run: start::first_frame },
    Test { name: "start::the_clock_does_not_drift", programs: &[], run: start::clock },
];

fn main() -> ExitCode {
    if env::args().nth(1).as_deref() == Some(clean::PANIC) {
        clean::panic_with_programs_attached();
    }
    remove_leftovers();
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let trials = TESTS.iter().map(|test| trial(test, &arguments)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(test: &'static Test, arguments: &Arguments) -> Trial {
    let missing = missing(test);
    if let Some(missing) = &missing
        && is_asked_for(test, arguments)
    {
        eprintln!("DID NOT RUN: {}: {missing}", test.name);
    }
    let run = || (test.run)().map_err(|error| Failed::from(format!("{error:#}")));
    Trial::test(test.name, run).with_ignored_flag(missing.is_some())
}

/// As `libtest_mimic` decides it.
fn is_asked_for(test: &Test, arguments: &Arguments) -> bool {
    let matches =
        |filter: &String| if arguments.exact { test.name == filter } else { test.name.contains(filter) };
    !arguments.list && arguments.filter.as_ref().is_none_or(matches) && !arguments.skip.iter().any(matches)
}

/// Why a test cannot run here.
fn missing(test: &Test) -> Option<String> {
    if !is_root() {
        return Some("needs root, to load kernel programs: run the tests with sudo".to_owned());
    }
    let (program, package) = test.programs.iter().find(|(program, _)| !is_in_path(program)).copied().unzip();
    if let Some((program, package)) = program.zip(package) {
        return Some(format!("{program} is not installed: install the package {package}"));
    }
    let cpus = online_cpus().map_or(0, |cpus| cpus.len());
    (cpus < 2).then(|| "needs two online CPUs".to_owned())
}

/// Removes namespaces of a run that was killed: their names hold the pid of their maker.
fn remove_leftovers() {
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let maker = name.split('-').find_map(|part| part.parse::<u32>().ok());
        let is_left = maker.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists());
        if name.starts_with("nicmon-t-") && is_left {
            eprintln!("removing the namespace {name}, left by a run that was killed");
            if let Err(error) = output(Command::new("ip").args(["netns", "del", &name])) {
                eprintln!("{error:#}");
            }
        }
    }
}

fn is_in_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| {
        fs::metadata(directory.join(program))
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    })
}

/// Prints what a test measured, beside its verdict.
fn tell(name: &str, text: &str) {
    eprintln!("{name}: {text}");
}
