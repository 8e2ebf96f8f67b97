//! `stacks[]`.

use std::{cmp::Reverse, collections::HashMap};

use crate::frame::{Context, SampledStack};

/// What identifies a stack: context, thread, functions.
type Key = (Context, Option<String>, Vec<String>);

/// Samples of all call stacks; `None` until a frame has any.
#[derive(Debug, Default)]
pub(super) struct Stacks(Option<HashMap<Key, u64>>);

impl Stacks {
    pub(super) fn add(&mut self, stacks: Option<&[SampledStack]>) {
        let Some(stacks) = stacks else { return };
        let sums = self.0.get_or_insert_default();
        for SampledStack { context, comm, functions, samples } in stacks {
            let sum = sums.entry((*context, comm.clone(), functions.clone())).or_default();
            *sum = sum.saturating_add(*samples);
        }
    }

    /// Most samples first.
    pub(super) fn stacks(&self) -> Option<Vec<SampledStack>> {
        let stack = |((context, comm, functions), samples): (&Key, &u64)| {
            let (comm, functions) = (comm.clone(), functions.clone());
            SampledStack { context: *context, comm, functions, samples: *samples }
        };
        let mut stacks: Vec<SampledStack> = self.0.as_ref()?.iter().map(stack).collect();
        stacks.sort_by(|a, b| {
            let order =
                |stack: &SampledStack| (Reverse(stack.samples), stack.functions.clone(), stack.comm.clone());
            order(a).cmp(&order(b)).then_with(|| a.context.cmp(&b.context))
        });
        Some(stacks)
    }
}
