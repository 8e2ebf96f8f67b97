//! Call stacks of the kernel, as flame graphs show them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Context;

/// A call stack of the kernel in which network code ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SampledStack {
    /// Where its innermost function ran.
    #[schemars(title = "Where its innermost function ran")]
    pub context: Context,
    /// Name of the thread; `null` in interrupts, which are no thread's.
    #[schemars(title = "Thread")]
    pub comm: Option<String>,
    /// Its functions, the outermost first; `[unknown]` where kallsyms has none.
    #[schemars(title = "Functions, outermost first")]
    pub functions: Vec<String>,
    /// Samples with this stack.
    #[schemars(title = "Samples with this stack")]
    pub samples: u64,
}
