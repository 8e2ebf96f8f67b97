//! `stacks[]`: call stacks of network code, with names.

use std::{cmp::Reverse, collections::HashMap};

use super::{Filter, Observation, attribution::context_of};
use crate::{
    counters::{SampleKind, TakenSample},
    frame::{Context, SampledStack, Stage},
    symbols::{DriverText, Kallsyms, stage_of},
};

/// `NET_TX` and `NET_RX`.
const NETWORK_VECTORS: [u32; 2] = [2, nicmon_common::NET_RX];
/// The name of a function that is not in kallsyms.
const UNKNOWN: &str = "[unknown]";

/// The stacks of samples in network code, most samples first. `None` if the user did not ask for them, or
/// if the drivers' code is unknown.
pub(super) fn stacks(seen: &Observation, filter: &Filter) -> Option<Vec<SampledStack>> {
    let samples = seen.reading.samples.as_ref().filter(|_| seen.asked.stacks)?;
    let kallsyms = seen.code.symbols.current()?;
    let text = &seen.code.drivers.as_ref()?.text;
    let shown = samples.taken.iter().filter(|sample| filter.shows_cpu(sample.cpu));
    Some(in_network_code(kallsyms, text, shown))
}

fn in_network_code<'a>(
    kallsyms: &Kallsyms,
    text: &DriverText,
    samples: impl Iterator<Item = &'a TakenSample>,
) -> Vec<SampledStack> {
    let mut counts: HashMap<(Context, Option<&str>, Vec<&str>), u64> = HashMap::new();
    for sample in samples {
        let Some(context) = context_of(sample.kind) else { continue };
        if sample.stack.is_empty() || !is_network(kallsyms, text, sample) {
            continue;
        }
        let functions = code(&sample.stack)
            .rev()
            .map(|address| kallsyms.function_at(address).map_or(UNKNOWN, |function| function.name))
            .collect();
        let comm = (context == Context::Task).then_some(sample.comm.as_str());
        *counts.entry((context, comm, functions)).or_default() += 1;
    }
    let mut stacks: Vec<SampledStack> = counts
        .into_iter()
        .map(|((context, comm, functions), samples)| SampledStack {
            context,
            comm: comm.map(str::to_owned),
            functions: functions.into_iter().map(str::to_owned).collect(),
            samples,
        })
        .collect();
    stacks.sort_by(|a, b| {
        let names = |stack: &'_ SampledStack| (stack.functions.clone(), stack.comm.clone());
        (Reverse(a.samples), names(a)).cmp(&(Reverse(b.samples), names(b)))
    });
    stacks
}

/// An address in each function of a stack, innermost first. All but the first are return addresses: after
/// a call that never returns, such an address is in the next function, so these are moved back by one
/// byte.
fn code(stack: &[u64]) -> impl DoubleEndedIterator<Item = u64> + ExactSizeIterator {
    stack.iter().enumerate().map(|(at, address)| if at == 0 { *address } else { address.saturating_sub(1) })
}

/// Whether a sample is in network code: by its softirq, or by a function that nothing else would call.
fn is_network(kallsyms: &Kallsyms, text: &DriverText, sample: &TakenSample) -> bool {
    matches!(sample.kind, SampleKind::Softirq(vector) if NETWORK_VECTORS.contains(&vector))
        || code(&sample.stack).any(|address| {
            // Other code allocates memory and runs BPF programs, too.
            let stage = kallsyms.function_at(address).as_ref().map_or(Stage::Other, stage_of);
            !matches!(stage, Stage::Other | Stage::Alloc | Stage::Bpf) || text.driver_at(address).is_some()
        })
}
