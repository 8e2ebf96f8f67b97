//! `nicmon overhead`: what nicmon itself costs on this machine.

use std::{
    fmt::Write as _,
    fs, io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
    time::Duration,
};

use super::{
    Failure,
    new_file::{NewFile, Readers},
    output::{json_line, print, print_message},
    runtime,
    signals::EndSignals,
};
use crate::{
    cli::{self, wrap},
    collect::{self, CollectError},
    counters::bpf::{AttachKind, CallCost, MEASURED, Measured, Options, Probe},
    host::{
        Roots,
        btf::{KERNEL_BTF, KernelBtf},
        cpus, machine,
    },
    overhead::{self, Measure, OverheadReport},
    present::{
        table::{Column, Table, WIDTH},
        text::{digits, interval},
    },
};

pub(super) fn run(args: &cli::Overhead) -> Result<(), Failure> {
    let report = runtime::block_on(observe(args))?;
    let kept = keep(&report);
    let text = if args.json { json_line(&report)? } else { render(&report, &kept) };
    if args.json
        && let Err(why) = kept
    {
        print_message(&why);
    }
    print(text.as_bytes())
}

async fn observe(args: &cli::Overhead) -> Result<OverheadReport, Failure> {
    let mut end = EndSignals::listen()?;
    let cpu = args.cpu.unwrap_or_else(first_cpu);
    let roots = Roots::default();
    let possible = cpus::possible(&roots.sys).map_err(CollectError::from)?;
    let options = Options {
        cpus: possible.iter().max().copied().unwrap_or(0) + 1,
        preempt_rt: machine::read(&roots.proc, &roots.sys).map_err(CollectError::from)?.preempt_rt,
        latency: false,
        sampling: None,
        cpu_hz: None,
        interval: Duration::from_secs(1),
        max_overhead_pct: None,
        // Nothing for now: what a call costs is what is measured.
        call_cost: CallCost::default(),
        log: false,
        privileges: collect::own(roots),
    };
    let load = || {
        let kernel = KernelBtf::read(Path::new(KERNEL_BTF))?;
        if args.raw {
            return Probe::attach_as(AttachKind::RawTp, options.clone(), &kernel);
        }
        Probe::attach(options.clone(), &kernel)
    };
    let is_over = async || end.received().await.is_some();
    Ok(overhead::measure(load, cpu, args.time, is_over).await?)
}

/// The first CPU that nicmon may use.
fn first_cpu() -> u32 {
    let allowed = rustix::thread::sched_getaffinity(None).ok();
    let is_allowed = |cpu: &usize| allowed.as_ref().is_some_and(|allowed| allowed.is_set(*cpu));
    let first = (0..rustix::thread::CpuSet::MAX_CPU).find(is_allowed);
    first.and_then(|cpu| u32::try_from(cpu).ok()).unwrap_or(0)
}

/// Leaves what a call costs for later runs, or says why not.
fn keep(report: &OverheadReport) -> Result<(), String> {
    let [low, high] = report.call_ns.ci;
    let unmeasured = CallCost::UNMEASURED;
    if !report.is_whole {
        return Err("It was interrupted, so later runs do not use this value.".to_owned());
    }
    if low <= 0.0 || high - low >= unmeasured.high - unmeasured.low {
        return Err(
            "That is too uncertain to be of use to later runs; measure for longer, with --for.".to_owned()
        );
    }
    let call = CallCost { low, likely: report.call_ns.mean, high };
    write(call).map_err(|error| format!("cannot write {MEASURED}: {error}; later runs do not use this value"))
}

fn write(call: CallCost) -> io::Result<()> {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
    let text = serde_json::to_string(&Measured { boot_id, call })?;
    let path = Path::new(MEASURED);
    let directory = path.parent().unwrap_or(path);
    fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    NewFile::create(path, true, Readers::Everybody)?.write_whole(text.as_bytes())?;
    // Whatever the umask says: others may read it, and nobody else may write it.
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

const ROWS: [Column; 2] = [Column::words("ATTACHED"), Column::words("ns PER PACKET")];

/// Everything, in lines of at most 80 columns.
fn render(report: &OverheadReport, kept: &Result<(), String>) -> String {
    let OverheadReport { cpu, blocks, loads, call_ns, measured_pct, self_pct, difference_pct, .. } = report;
    let mut text = paragraph(&format!(
        "UDP packets over loopback, one per poll, on CPU {cpu}: {blocks} blocks of {} ms of each kind, in \
         random order; nicmon was loaded {loads} times. In brackets: 95 % intervals.",
        overhead::BLOCK.as_millis()
    ));
    let mut table = Table::new(ROWS);
    table.add(["nothing".to_owned(), digits(report.without_ns)]);
    table.add(["three empty programs".to_owned(), added(report.empty_ns)]);
    table.add(["nicmon's programs".to_owned(), added(report.nicmon_ns)]);
    // Writing to a String cannot fail.
    let _ = write!(text, "\n{}\n", table.text());
    text += &paragraph(&format!(
        "nicmon's programs took {} % {} of the CPU, as measured (standard error {:.2} points); estimated \
         as in frames, {} %. The difference is {} points {}.",
        digits(measured_pct.mean),
        interval(measured_pct.ci, digits),
        measured_pct.error,
        digits(*self_pct),
        digits(difference_pct.mean),
        interval(difference_pct.ci, digits),
    ));
    let kept = match kept {
        Ok(()) => "Until the next boot, nicmon uses that value when it starts.",
        Err(why) => why,
    };
    text += &paragraph(&format!(
        "The kernel needs {} ns {} to call a program. {kept}",
        digits(call_ns.mean),
        interval(call_ns.ci, digits),
    ));
    text += &paragraph(
        "This is the worst case. A poll of a busy NIC handles many packets, which share its cost.",
    );
    text
}

fn added(measure: Measure) -> String {
    format!("+{} {}", digits(measure.mean), interval(measure.ci, digits))
}

fn paragraph(text: &str) -> String {
    format!("{}\n", wrap(text, 0, 2, WIDTH))
}
