//! `nicmon doctor`: what this kernel and these permissions allow, what is missing, and how to get it.

mod checks;
#[cfg(feature = "bpf")]
mod programs;
mod summary;

use std::{borrow::Cow, fmt::Write as _, path::Path};

use super::{Failure, output::print};
use crate::{
    cli::wrap,
    collect::CpuTimes,
    host::{
        Roots,
        btf::{KERNEL_BTF, KernelBtf},
        limits,
    },
    present::text::printable_lines,
};

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is missing.
    Ok,
    /// Something will be unknown.
    Warn,
    /// No times can be measured.
    Fail,
}

/// One thing that was checked.
#[derive(Debug)]
struct Check {
    state: State,
    /// What was checked.
    name: &'static str,
    /// What was found, and what follows from it.
    found: String,
    /// How to get what is missing.
    remedy: Option<Cow<'static, str>>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { state: State::Ok, name, found: found.into(), remedy: None }
    }

    fn warn(name: &'static str, found: impl Into<String>) -> Self {
        Self { state: State::Warn, ..Self::ok(name, found) }
    }

    fn fail(name: &'static str, found: impl Into<String>) -> Self {
        Self { state: State::Fail, ..Self::ok(name, found) }
    }

    fn remedy(self, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

pub(super) fn run() -> Result<(), Failure> {
    limits::raise();
    let checks = examine(&Roots::default());
    let text = render(&checks) + "\n" + &summary::render(&checks);
    print(text.as_bytes())?;
    if has_times(&checks) { Ok(()) } else { Err(Failure::Unfit) }
}

/// Whether times can be measured: nothing failed.
fn has_times(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.state != State::Fail)
}

fn examine(roots: &Roots) -> Vec<Check> {
    // The other checks take most of the time that must pass until it is read again.
    let cpu_times = CpuTimes::read(roots);
    let (kernel, preempt_rt) = checks::kernel(roots);
    let programs = programs(roots, preempt_rt);
    let mut all = vec![
        kernel,
        checks::start(roots, has_times(&programs)),
        checks::open_files(roots),
        checks::lockdown(&roots.sys),
        checks::jit(&roots.proc),
    ];
    all.extend(checks::capabilities());
    all.push(checks::privileges(&roots.proc));
    all.push(checks::sample_rate(&roots.proc));
    all.extend(programs);
    all.extend(checks::files(roots, checks::cpu_times(roots, cpu_times)));
    all
}

/// What needs the kernel's BTF.
fn programs(roots: &Roots, preempt_rt: bool) -> Vec<Check> {
    match KernelBtf::read(Path::new(KERNEL_BTF)) {
        Ok(btf) => {
            let mut all = vec![Check::ok("kernel BTF", KERNEL_BTF)];
            all.extend(programs::checks(roots, preempt_rt, &btf));
            all.extend(checks::kernel_features(&btf));
            all
        }
        Err(error) => {
            let remedy = "use a kernel with CONFIG_DEBUG_INFO_BTF=y; all current distributions have it";
            vec![Check::fail("kernel BTF", error.to_string()).remedy(remedy)]
        }
    }
}

/// Replaces the checks that attach programs if there are none.
#[cfg(not(feature = "bpf"))]
mod programs {
    use super::{Check, KernelBtf, Roots};

    pub(super) fn checks(_: &Roots, _: bool, _: &KernelBtf) -> Vec<Check> {
        let check =
            Check::fail("eBPF programs", "missing: this nicmon was built without the feature \"bpf\"");
        vec![check.remedy("install a nicmon that was built with it")]
    }
}

/// The checks as text in two columns; the second is wrapped.
fn render(checks: &[Check]) -> String {
    const INDENT: usize = 22;
    const WIDTH: usize = 80;
    let mut text = String::new();
    for Check { state, name, found, remedy } in checks {
        let state = match state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "fail",
        };
        // Writing to a String cannot fail.
        let _ =
            writeln!(text, "{state:<5}{name:<16} {}", wrap(&printable_lines(found), INDENT, INDENT, WIDTH));
        // A command is on a separate line, so it can be copied.
        for (at, line) in remedy.iter().flat_map(|remedy| remedy.lines()).enumerate() {
            let arrow = if at == 0 { "->" } else { "" };
            let _ = writeln!(text, "{:INDENT$}{arrow:<2} {}", "", wrap(line, INDENT + 3, INDENT + 3, WIDTH));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Vec<Check> {
        vec![
            Check::ok("kernel", "6.18.0"),
            Check::warn("CAP_SYSLOG", "missing: names of kernel functions and what drivers cost are unknown")
                .remedy("run nicmon as root, or:\nsudo setcap cap_syslog+ep nicmon"),
        ]
    }

    #[test]
    fn remedies_stand_below_what_is_missing() {
        let expected = "\
ok   kernel           6.18.0
warn CAP_SYSLOG       missing: names of kernel functions and what drivers cost
                      are unknown
                      -> run nicmon as root, or:
                         sudo setcap cap_syslog+ep nicmon
";
        assert_eq!(render(&machine()), expected);
    }

    #[test]
    fn a_failed_check_means_no_times() {
        let mut checks = machine();
        assert!(has_times(&checks));
        checks.push(Check::fail("kernel BTF", "missing"));
        assert!(!has_times(&checks));
    }
}
