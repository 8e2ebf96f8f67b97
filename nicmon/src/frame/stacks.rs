//! `stacks[]`: call stacks of the kernel, for flame graphs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Context;

/// A kernel call stack in which network code ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SampledStack {
    /// Where its innermost function ran.
    #[schemars(title = "Where its innermost function ran")]
    pub context: Context,
    /// Name of the thread; `null` in interrupts, which belong to no thread.
    #[schemars(title = "Thread")]
    pub comm: Option<String>,
    /// Its functions, outermost first; `[unknown]` if kallsyms has no name.
    #[schemars(title = "Functions, outermost first")]
    pub functions: Vec<String>,
    /// Samples with this stack.
    #[schemars(title = "Samples with this stack")]
    pub samples: u64,
}
