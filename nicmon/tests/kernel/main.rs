//! Tests of nicmon on this machine's kernel: they run the real program as a child, under loads of known size.
//!
//! They run one at a time because they share the CPUs and the kernel's state. Everything they make is removed
//! again, even after a failure. They compare counters and shares, never absolute times: the machine may be
//! busy.

mod bpftrace;
mod check;
mod child;
mod churn;
mod clean;
mod comms;
mod conservation;
mod drivers;
#[cfg(feature = "bpf")]
mod flows;
mod hands;
mod histograms;
mod html;
mod irqs;
mod loads;
mod modes;
mod namespaces;
mod netns_counters;
#[cfg(feature = "bpf")]
mod own;
mod path;
mod perf;
#[cfg(feature = "bpf")]
mod privileges;
mod record;
mod record_perf;
#[cfg(feature = "bpf")]
mod recordings;
mod sampling;
mod screen;
mod sockets;
mod stacks;
mod start;
mod tmux;
mod topology;
#[path = "../topology_compare/mod.rs"]
mod topology_compare;
mod tunnel;
mod veth;
#[cfg(feature = "bpf")]
mod windows;

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use testkit::{
    load::online_cpus,
    not_run,
    process::{is_root, output},
};

/// A test, and what it needs besides root.
struct Test {
    name: &'static str,
    /// The programs it calls, and their Debian packages.
    programs: &'static [(&'static str, &'static str)],
    run: fn() -> Result<()>,
}

const IP: (&str, &str) = ("ip", "iproute2");
const ETHTOOL: (&str, &str) = ("ethtool", "ethtool");
const BPFTOOL: (&str, &str) = ("bpftool", "bpftool");
const BPFTRACE: (&str, &str) = ("bpftrace", "bpftrace");
const IPTABLES: (&str, &str) = ("iptables", "iptables");
const MOUNT: (&str, &str) = ("mount", "mount");
const NOHUP: (&str, &str) = ("nohup", "coreutils");
#[cfg(feature = "bpf")]
const SETPRIV: (&str, &str) = ("setpriv", "util-linux");
const PERF: (&str, &str) = ("perf", "linux-perf");
const UNSHARE: (&str, &str) = ("unshare", "util-linux");
const TMUX: (&str, &str) = ("tmux", "tmux");
const CHROMIUM: (&str, &str) = ("chromium", "chromium");
/// What it takes to make a veth pair.
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
    Test { name: "histograms::packets_alone", programs: &[IP], run: histograms::alone },
    Test { name: "histograms::veth", programs: NET, run: histograms::veth },
    Test {
        name: "histograms::as_bpftrace",
        programs: &[IP, BPFTRACE, UNSHARE],
        run: histograms::beside_bpftrace,
    },
    Test { name: "drivers::veth_as_perf", programs: &[IP, ETHTOOL, PERF], run: drivers::veth_as_perf },
    Test {
        name: "sampling::exact_time_and_perf_agree",
        programs: &[IP, ETHTOOL, PERF],
        run: sampling::agree,
    },
    Test { name: "tunnel::as_perf", programs: &[IP, ETHTOOL, PERF], run: tunnel::as_perf },
    Test { name: "comms::ten_thousand", programs: &[IP, ETHTOOL], run: comms::ten_thousand },
    Test { name: "sockets::as_perf", programs: &[PERF], run: sockets::as_perf },
    Test { name: "stacks::as_perf", programs: &[IP, ETHTOOL, PERF], run: stacks::as_perf },
    Test { name: "html::in_chromium", programs: &[IP, ETHTOOL, CHROMIUM], run: html::in_chromium },
    Test { name: "irqs::counts_are_the_kernels", programs: &[], run: irqs::counts },
    Test { name: "irqs::hammered_into_softirqs", programs: &[IP], run: irqs::hammer },
    Test { name: "modes::threaded", programs: NET, run: modes::threaded },
    Test { name: "modes::rps_goes_to_the_backlog", programs: NET, run: modes::rps },
    Test { name: "modes::busy", programs: NET, run: modes::busy },
    Test { name: "namespaces::twins_stay_two", programs: NET, run: namespaces::twins },
    Test { name: "namespaces::deleted_is_gone", programs: NET, run: namespaces::deleted },
    Test { name: "namespaces::odd_names", programs: &[IP], run: namespaces::odd_names },
    Test { name: "netns::full_sockets", programs: &[IP], run: netns_counters::full_sockets },
    #[cfg(feature = "bpf")]
    Test { name: "flows::one_and_many", programs: &[IP, ETHTOOL, BPFTOOL], run: flows::one_and_many },
    #[cfg(feature = "bpf")]
    Test { name: "own::runs_are_the_kernels", programs: &[IP, BPFTOOL], run: own::runs },
    #[cfg(feature = "bpf")]
    Test { name: "own::cost_is_what_packets_take_longer", programs: &[], run: own::agrees },
    #[cfg(feature = "bpf")]
    Test { name: "own::drops_are_given_up", programs: NET, run: own::drops_given_up },
    #[cfg(feature = "bpf")]
    Test { name: "own::overhead_killed", programs: &[BPFTOOL], run: own::killed },
    #[cfg(feature = "bpf")]
    Test { name: "windows::as_measured_all_the_time", programs: &[IP], run: windows::beside_exact },
    #[cfg(feature = "bpf")]
    Test { name: "windows::the_cost_stays_below_the_limit", programs: &[IP], run: windows::below_limit },
    #[cfg(feature = "bpf")]
    Test { name: "windows::with_an_isolated_cpu", programs: &[IP], run: windows::with_an_isolated_cpu },
    #[cfg(feature = "bpf")]
    Test {
        name: "windows::judged_on_one_recording",
        programs: &[IP, ETHTOOL, IPTABLES],
        run: recordings::judged,
    },
    Test { name: "path::full_socket", programs: NET, run: path::full_socket },
    Test { name: "path::netfilter", programs: &[IP, ETHTOOL, IPTABLES], run: path::netfilter },
    Test { name: "path::no_route", programs: NET, run: path::no_route },
    Test { name: "path::xdp", programs: NET, run: path::xdp },
    Test { name: "path::backlog", programs: NET, run: path::backlog },
    Test { name: "path::download", programs: NET, run: path::download },
    Test { name: "path::two_nics", programs: NET, run: path::two_nics },
    Test { name: "netns::merged_packets", programs: NET, run: netns_counters::merged },
    Test { name: "topology::here_as_ethtool_says", programs: &[ETHTOOL], run: topology::here },
    Test { name: "topology::veth_as_ethtool_says", programs: NET, run: topology::veth },
    Test { name: "topology::in_frames", programs: NET, run: topology::in_frames },
    Test { name: "churn::a_thousand_pairs", programs: &[IP, ETHTOOL, BPFTOOL], run: churn::churn },
    #[cfg(feature = "bpf")]
    Test { name: "privileges::what_is_forbidden", programs: &[], run: privileges::forbidden },
    #[cfg(feature = "bpf")]
    Test { name: "privileges::of_each_thread", programs: &[], run: privileges::of_each_thread },
    #[cfg(feature = "bpf")]
    Test { name: "privileges::of_a_recorded_command", programs: &[], run: privileges::of_a_recorded_command },
    #[cfg(feature = "bpf")]
    Test { name: "privileges::as_a_service", programs: &[SETPRIV], run: privileges::ambient },
    Test { name: "clean::killed_at_any_moment", programs: &[BPFTOOL], run: clean::killed_at_any_moment },
    Test { name: "clean::after_sigint", programs: &[BPFTOOL], run: clean::after_sigint },
    Test { name: "clean::after_sigterm", programs: &[BPFTOOL], run: clean::after_sigterm },
    Test { name: "clean::after_sigkill", programs: &[BPFTOOL], run: clean::after_sigkill },
    Test { name: "clean::after_sigabrt", programs: &[BPFTOOL], run: clean::after_sigabrt },
    Test { name: "clean::after_a_panic", programs: &[BPFTOOL], run: clean::after_a_panic },
    Test { name: "clean::after_a_closed_pipe", programs: &[BPFTOOL], run: clean::after_a_closed_pipe },
    Test { name: "clean::after_a_stalled_reader", programs: &[BPFTOOL], run: clean::after_a_stalled_reader },
    Test { name: "clean::statistics_are_off_while_it_runs", programs: &[BPFTOOL], run: clean::statistics },
    Test { name: "record::a_short_command_gives_one_frame", programs: &[], run: record::short_command },
    Test { name: "record::exit_codes_are_passed_on", programs: &[], run: record::exit_codes },
    Test { name: "record::a_missing_command_leaves_nothing", programs: &[], run: record::missing_command },
    Test { name: "record::signals_reach_the_command", programs: &[], run: record::signals },
    Test { name: "record::sigint_is_the_terminals", programs: &[], run: record::interrupt },
    Test { name: "record::without_a_command_until_a_signal", programs: &[], run: record::until_a_signal },
    Test { name: "record::nohup_is_heeded", programs: &[NOHUP], run: record::nohup },
    Test { name: "record::killed_and_still_readable", programs: &[], run: record::killed },
    Test { name: "record::a_full_disk", programs: &[MOUNT], run: record::full_disk },
    Test { name: "record::no_place_no_command", programs: &[MOUNT], run: record::no_place },
    Test { name: "record::the_file_before_is_kept", programs: &[], run: record::old_file },
    Test { name: "record::as_perf", programs: &[IP, ETHTOOL, PERF], run: record_perf::as_perf },
    Test { name: "screen::pinned_to_cpu_0", programs: &[IP, ETHTOOL, TMUX], run: screen::pinned_to_cpu_0 },
    Test { name: "screen::pinned_to_cpu_1", programs: &[IP, ETHTOOL, TMUX], run: screen::pinned_to_cpu_1 },
    Test {
        name: "screen::what_drivers_cost",
        programs: &[IP, ETHTOOL, TMUX],
        run: screen::what_drivers_cost,
    },
    Test { name: "screen::odd_names", programs: &[IP, TMUX], run: screen::odd_names },
    Test { name: "screen::terminal_after_q", programs: &[TMUX], run: screen::after_q },
    Test { name: "screen::terminal_after_sigint", programs: &[TMUX], run: screen::after_sigint },
    Test { name: "screen::terminal_after_sigterm", programs: &[TMUX], run: screen::after_sigterm },
    Test { name: "screen::terminal_after_a_panic", programs: &[TMUX], run: screen::after_a_panic },
    Test { name: "screen::terminal_while_stopped", programs: &[TMUX], run: screen::while_stopped },
    Test { name: "screen::replay_from_a_pipe", programs: &[TMUX], run: screen::replay_from_a_pipe },
    Test { name: "hands::every_key", programs: &[TMUX], run: hands::every_key },
    Test { name: "hands::scenarios", programs: &[TMUX], run: hands::scenarios },
    Test { name: "hands::resize_storm", programs: &[TMUX], run: hands::resize_storm },
    Test {
        name: "hands::a_terminal_that_does_not_read",
        programs: &[TMUX],
        run: hands::a_terminal_that_does_not_read,
    },
    Test { name: "start::first_frame", programs: &[], run: start::first_frame },
    Test { name: "start::the_clock_does_not_drift", programs: &[], run: start::clock },
];

fn main() -> ExitCode {
    if env::args().nth(1).as_deref() == Some(clean::PANIC) {
        clean::panic_with_programs_attached();
    }
    if env::args().nth(1).as_deref() == Some(screen::PANIC) {
        screen::panic_on_the_screen();
    }
    #[cfg(feature = "bpf")]
    if env::args().nth(1).as_deref() == Some(privileges::TRY) {
        return match privileges::try_everything() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error:#}");
                ExitCode::FAILURE
            }
        };
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
        not_run::say(test.name, missing);
    }
    let run = || (test.run)().map_err(|error| Failed::from(format!("{error:#}")));
    Trial::test(test.name, run).with_ignored_flag(missing.is_some())
}

/// Decides as `libtest_mimic` does.
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

/// Removes the namespaces of a run that was killed. Their names hold the pid of the process that made them.
fn remove_leftovers() {
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let maker = name.split('-').find_map(|part| part.parse::<u32>().ok());
        let is_left = maker.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists());
        if name.starts_with("nicmon-") && is_left {
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

/// Prints what a test measured.
fn tell(name: &str, text: &str) {
    eprintln!("{name}: {text}");
}
