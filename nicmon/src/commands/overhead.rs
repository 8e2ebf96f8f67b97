//! `nicmon overhead`: what nicmon itself costs on this machine.

use std::{fmt::Write as _, fs, io, os::unix::fs::DirBuilderExt as _, path::Path, time::Duration};

use super::{
    Failure,
    new_file::{NewFile, Readers},
    output::{json_line, print, print_message},
    runtime,
    signals::EndSignals,
};
use crate::{
    cli::{self, wrap},
    collect::CollectError,
    counters::bpf::{AttachKind, CallCost, MEASURED, Measured, Options, Probe, ProbeError},
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
    if let Err(error) = &kept {
        print_message(&format!(
            "cannot write {MEASURED}: {error}; frames go on with a rough value of what a call costs"
        ));
    }
    let text = if args.json { json_line(&report)? } else { render(&report, kept.is_ok()) };
    print(text.as_bytes())
}

async fn observe(args: &cli::Overhead) -> Result<OverheadReport, Failure> {
    let mut end = EndSignals::listen()?;
    let probe = load(args)?;
    let cpu = args.cpu.unwrap_or_else(first_cpu);
    let is_over = async || end.received().await.is_some();
    Ok(overhead::measure(probe, cpu, args.time, is_over).await?)
}

fn load(args: &cli::Overhead) -> Result<Probe, Failure> {
    let roots = Roots::default();
    let kernel = KernelBtf::read(Path::new(KERNEL_BTF)).map_err(ProbeError::from);
    let possible = cpus::possible(&roots.sys).map_err(CollectError::from)?;
    let options = Options {
        cpus: possible.iter().max().copied().unwrap_or(0) + 1,
        preempt_rt: machine::read(&roots.proc, &roots.sys).map_err(CollectError::from)?.preempt_rt,
        latency: false,
        sampling: None,
        cpu_hz: None,
        interval: Duration::from_secs(1),
        // Nothing for now: what a call costs is what is measured.
        call_cost: CallCost::default(),
        log: false,
    };
    let attach = |kernel: KernelBtf| {
        if args.raw {
            Probe::attach_as(AttachKind::RawTp, options, &kernel)
        } else {
            Probe::attach(options, &kernel)
        }
    };
    Ok(kernel.and_then(attach).map_err(CollectError::from)?)
}

/// The first CPU that nicmon may use.
fn first_cpu() -> u32 {
    let allowed = rustix::thread::sched_getaffinity(None).ok();
    let is_allowed = |cpu: &usize| allowed.as_ref().is_some_and(|allowed| allowed.is_set(*cpu));
    let first = (0..rustix::thread::CpuSet::MAX_CPU).find(is_allowed);
    first.and_then(|cpu| u32::try_from(cpu).ok()).unwrap_or(0)
}

/// Leaves what a call costs for frames of later runs.
fn keep(report: &OverheadReport) -> io::Result<()> {
    let [low, high] = report.call_ns.ci;
    let call = CallCost { low: low.max(0.0), likely: report.call_ns.mean.max(0.0), high: high.max(0.0) };
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
    let text = serde_json::to_string(&Measured { boot_id, call })?;
    let path = Path::new(MEASURED);
    let directory = path.parent().unwrap_or(path);
    fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    NewFile::create(path, true, Readers::Everybody)?.write_whole(text.as_bytes())
}

const ROWS: [Column; 2] = [Column::words("ATTACHED"), Column::words("ns PER PACKET")];

/// Everything, in lines of at most 80 columns.
fn render(report: &OverheadReport, is_kept: bool) -> String {
    let OverheadReport { cpu, blocks, call_ns, measured_pct, self_pct, .. } = report;
    let mut text = paragraph(&format!(
        "UDP packets over loopback, one per poll, on CPU {cpu}: {blocks} blocks of {} ms of each kind, in \
         random order. In brackets: 95 % intervals.",
        overhead::BLOCK.as_millis()
    ));
    let mut table = Table::new(ROWS);
    table.add(["nothing".to_owned(), measure(report.without_ns, "")]);
    table.add(["three empty programs".to_owned(), measure(report.empty_ns, "+")]);
    table.add(["nicmon's programs".to_owned(), measure(report.nicmon_ns, "+")]);
    // Writing to a String cannot fail.
    let _ = write!(text, "\n{}\n", table.text());
    let kept = if is_kept { " Until the next boot, frames take that for their own cost." } else { "" };
    text += &paragraph(&format!(
        "nicmon's programs took {} % {} of the CPU, as measured (standard error {:.2} points); counted as in \
         frames, {} %. The kernel needs {} ns {} to call a program.{kept}",
        digits(measured_pct.mean),
        interval(measured_pct.ci, digits),
        measured_pct.error(),
        digits(*self_pct),
        digits(call_ns.mean),
        interval(call_ns.ci, digits),
    ));
    text += &paragraph(
        "This is the worst case. A poll of a busy NIC handles many packets, which share its cost.",
    );
    text
}

fn measure(measure: Measure, sign: &str) -> String {
    format!("{sign}{} {}", digits(measure.mean), interval(measure.ci, digits))
}

fn paragraph(text: &str) -> String {
    format!("{}\n", wrap(text, 0, 2, WIDTH))
}
