//! `nicmon path`: where the packets of one NIC go.

mod text;

use std::{path::Path, time::Instant};

use super::{
    Failure,
    output::{json_line, print},
    runtime,
    signals::EndSignals,
    watch::{FRAME, watch},
};
use crate::{
    cli,
    collect::{CollectError, Filter, Options, read_topology},
    counters::{
        HowToSample,
        bpf::{PathProbe, ProbeError},
    },
    frame::{Merged, Nic},
    host::{
        self, Roots,
        btf::{KERNEL_BTF, KernelBtf},
        links::{Link, links},
        netns::{Netns, own_inum},
    },
    path::{Counters, Observed, PacketPath, ledger},
    symbols::Kallsyms,
};

/// Samples per CPU per second while time is measured: short, and of one NIC.
const FREQUENCY: u32 = 999;

pub(super) fn run(args: &cli::Path) -> Result<(), Failure> {
    let path = runtime::block_on(observe(args))?;
    let text = if args.json { json_line(&path)? } else { text::render(&path) };
    print(text.as_bytes())
}

/// Measures time first, then counts: the programs that count run for each packet, and would be in the time.
async fn observe(args: &cli::Path) -> Result<PacketPath, Failure> {
    let mut end = EndSignals::listen()?;
    let roots = Roots::default();
    let netns = own_inum(&roots.proc).map_err(CollectError::from)?;
    let link = find(&args.nic)?;
    let frames = u32::try_from(args.time.as_secs() / 2).unwrap_or(u32::MAX).max(1);
    let timed = time(frames, &mut end).await?;
    let nic = timed.as_ref().and_then(|(nics, ns)| {
        let own = nics.iter().find(|nic| (nic.netns, nic.ifindex) == (Some(netns), link.ifindex))?;
        Some((own, *ns))
    });

    let topology = read_topology(&roots, &Filter::default())?;
    let mut setups = topology.nics.into_iter();
    let setup = setups.find(|nic| (nic.netns, nic.ifindex) == (netns, link.ifindex));
    let setup = setup.ok_or_else(|| gone(&args.nic))?;
    let kernel =
        KernelBtf::read(Path::new(KERNEL_BTF)).map_err(ProbeError::from).map_err(CollectError::from)?;
    let probe = PathProbe::attach(link.ifindex, netns, &kernel).map_err(CollectError::from)?;
    drop(kernel);
    let read = || -> Result<Counters, Failure> {
        let programs = probe.read().map_err(CollectError::from)?;
        Ok(Counters::read(&link, &roots.proc, programs).map_err(CollectError::from)?)
    };
    let before = read()?;
    let start = Instant::now();
    let wait = args.time.saturating_sub(FRAME * frames);
    end.comes_before(tokio::time::sleep(wait)).await;
    let after = read()?;
    let interval_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    drop(probe);

    let kallsyms = Kallsyms::read(&roots.proc).ok();
    let seen = Observed {
        setup: &setup,
        grown: &after.since(&before),
        interval_ns,
        timed: nic,
        kallsyms: kallsyms.as_ref(),
    };
    ledger(&seen).ok_or_else(|| gone(&args.nic))
}

/// The interface of this name.
fn find(name: &str) -> Result<Link, Failure> {
    let links = links(&Netns::Own)
        .map_err(|source| host::Error::Interfaces { source })
        .map_err(CollectError::from)?;
    let existing: Vec<String> = links.iter().map(|link| link.name.to_string_lossy().into_owned()).collect();
    let link = links.into_iter().find(|link| link.names().iter().any(|own| own == name));
    link.ok_or_else(|| Failure::NoInterface { name: name.to_owned(), existing: existing.join(", ") })
}

fn gone(name: &str) -> Failure {
    Failure::InterfaceGone { name: name.to_owned() }
}

/// The NICs over so many seconds, and how long that was; `None` if a signal came first.
async fn time(frames: u32, end: &mut EndSignals) -> Result<Option<(Vec<Nic>, u64)>, Failure> {
    let sampling = Some(HowToSample { frequency: FREQUENCY, stacks: false });
    let mut sum = Merged::default();
    let options = Options { sampling, ..Options::default() };
    watch(options, frames.into(), end, |_, frame| sum.add(frame)).await?;
    Ok(sum.frame().map(|frame| (frame.nics, frame.interval_ns)))
}
