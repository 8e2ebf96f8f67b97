//! UDP over loopback with one packet per poll: the worst case for hooks on softirqs and polls.

use std::{
    net::UdpSocket,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use clap::ValueEnum as _;
use testkit::{load::pin_thread, process};

use crate::{
    Args,
    contenders::{Contender, Tracefs},
    figures::{Figures, Verdicts},
};

/// Two sockets used by one thread: it sends a packet on one and receives it on the other.
pub(crate) struct Loopback {
    sender: UdpSocket,
    receiver: UdpSocket,
}

impl Loopback {
    pub(crate) fn new() -> Result<Self> {
        let socket = || UdpSocket::bind(("127.0.0.1", 0));
        let (sender, receiver) = (socket()?, socket()?);
        sender.connect(receiver.local_addr()?)?;
        receiver.connect(sender.local_addr()?)?;
        receiver.set_read_timeout(Some(Duration::from_secs(2)))?;
        Ok(Self { sender, receiver })
    }

    /// Time per packet over one slice, in ns.
    pub(crate) fn slice(&self, packets: u32) -> Result<f64> {
        let mut buffer = [0; 64];
        let start = Instant::now();
        for _ in 0..packets {
            self.sender.send(&[0; 32])?;
            self.receiver.recv(&mut buffer)?;
        }
        Ok(start.elapsed().as_nanos() as f64 / f64::from(packets))
    }
}

/// Runs several slices on a thread pinned to `cpu`. Our own thread must not be pinned, because the programs
/// that we start would inherit that.
pub(crate) fn slices(cpu: usize, count: u32, packets: u32) -> Result<Vec<f64>> {
    let work = move || -> Result<Vec<f64>> {
        pin_thread(cpu)?;
        let loopback = Loopback::new().context("cannot open the loopback sockets")?;
        loopback.slice(packets / 10)?;
        (0..count)
            .map(|_| {
                process::check_signalled()?;
                loopback.slice(packets).context("UDP over loopback failed")
            })
            .collect()
    };
    thread::spawn(work).join().map_err(|_| anyhow!("the loopback thread panicked"))?
}

struct Entry {
    contender: Contender,
    figures: Figures,
    not_measured: Option<String>,
}

pub(crate) fn measure(args: &Args, verdicts: &mut Verdicts) -> Result<()> {
    let _tracefs = Tracefs::mounted()?;
    let mut entries: Vec<_> = Contender::value_variants()
        .iter()
        // All figures are differences from `nothing`, so it always runs.
        .filter(|c| args.contenders.is_empty() || **c == Contender::Nothing || args.contenders.contains(c))
        .map(|&contender| Entry { contender, figures: Figures::default(), not_measured: contender.missing() })
        .collect();
    for round in 1..=args.rounds {
        eprintln!("bench: loopback, round {round} of {}", args.rounds);
        for entry in entries.iter_mut().filter(|e| e.not_measured.is_none()) {
            let turn = || -> Result<Vec<f64>> {
                // The kernel takes a moment to unload the programs of the last contender.
                process::sleep(Duration::from_millis(150))?;
                let mut at_work = entry.contender.start(args)?;
                warm_up(entry.contender.warm_up(), args)?;
                let figures = slices(args.cpu, args.slices, args.packets)?;
                at_work.still()?;
                Ok(figures)
            };
            match turn() {
                Ok(figures) => entry.figures.add(figures),
                Err(error) => {
                    process::check_signalled()?;
                    entry.not_measured = Some(format!("{error:#}"));
                }
            }
        }
    }
    print(args, &entries);
    judge(&entries, verdicts);
    Ok(())
}

/// The load, without measuring.
fn warm_up(time: Duration, args: &Args) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < time {
        slices(args.cpu, args.slices, args.packets)?;
    }
    Ok(())
}

/// What a contender adds to the time without any tool, by `figure` (best or median).
fn added(entries: &[Entry], contender: Contender, figure: fn(&Figures) -> Option<f64>) -> Option<f64> {
    let of = |c| figure(&entries.iter().find(|e| e.contender == c && e.not_measured.is_none())?.figures);
    Some(of(contender)? - of(Contender::Nothing)?)
}

fn print(args: &Args, entries: &[Entry]) {
    println!(
        "UDP over loopback, one packet per poll, on CPU {}: {} rounds of {} slices of {} packets",
        args.cpu, args.rounds, args.slices, args.packets
    );
    println!("  {:<26}{:>9}{:>18}{:>14}{:>19}", "", "ns/packet", "", "added to", "nothing");
    println!(
        "  {:<26}{:>9}{:>9}{:>9}{:>14}{:>10}{:>9}",
        "", "best", "median", "mean", "best", "median", "mean"
    );
    for Entry { contender, figures, not_measured } in entries {
        if let Some(why) = not_measured {
            println!("  {:<26}not measured: {why}", contender.label());
            continue;
        }
        let text = |figure: Option<f64>| figure.map_or("-".into(), |f| format!("{f:.0}"));
        let more = |figure: Option<f64>| match figure {
            Some(f) if *contender != Contender::Nothing => format!("{f:+.0}"),
            _ => "-".into(),
        };
        println!(
            "  {:<26}{:>9}{:>9}{:>9}{:>14}{:>10}{:>9}",
            contender.label(),
            text(figures.best()),
            text(figures.median()),
            text(figures.mean()),
            more(added(entries, *contender, Figures::best)),
            more(added(entries, *contender, Figures::median)),
            more(added(entries, *contender, Figures::mean)),
        );
    }
}

fn judge(entries: &[Entry], verdicts: &mut Verdicts) {
    let best = |contender| added(entries, contender, Figures::best);
    let median = |contender| added(entries, contender, Figures::median);
    let targets = [
        ("at most softirqs + 5 %", Contender::Softirqs, 1.05),
        ("below 2 x the empty programs", Contender::Empty, 2.0),
    ];
    for (name, other, factor) in targets {
        let (Some(nicmon), Some(limit)) = (best(Contender::Nicmon), best(other)) else {
            verdicts.add(format!("ns per packet that nicmon adds: {name}"), None);
            continue;
        };
        let limit = limit * factor;
        let reached = if factor < 2.0 { nicmon <= limit } else { nicmon < limit };
        let medians = match (median(Contender::Nicmon), median(other)) {
            (Some(n), Some(o)) => format!(" (medians: {n:+.0}, limit {:+.0})", o * factor),
            _ => String::new(),
        };
        verdicts.add(
            format!("ns per packet that nicmon adds: {name}: {nicmon:+.0}, limit {limit:+.0}{medians}"),
            Some(reached),
        );
    }
}
