//! What nicmon will show on this machine, according to the checks.

use std::fmt::Write as _;

use super::{Check, State, checks, has_times};

/// Something that nicmon can show.
struct Figure {
    what: &'static str,
    /// Whether the eBPF programs measure it.
    is_timed: bool,
    /// Checks that must be ok.
    needs: &'static [&'static str],
}

const fn counted(what: &'static str, needs: &'static [&'static str]) -> Figure {
    Figure { what, is_timed: false, needs }
}

const fn timed(what: &'static str, needs: &'static [&'static str]) -> Figure {
    Figure { what, is_timed: true, needs }
}

const FIGURES: [Figure; 9] = [
    counted("packets, drops, softirqs and interrupts, as the kernel counts them", &[]),
    timed("exact times of softirqs, NAPI polls and interrupt handlers", &[]),
    timed(
        "what drivers cost, estimated from samples",
        &[checks::OPEN_FILES, checks::SAMPLES, checks::SYMBOLS],
    ),
    timed("names of poll functions", &[checks::SYMBOLS]),
    timed("drops by reason and function", &[checks::DROPS, checks::SYMBOLS]),
    timed("what the eBPF programs themselves cost", &[checks::ADMIN]),
    counted("CPU time of ksoftirqd and NAPI threads", &[checks::THREADS]),
    counted("drivers and counters of NICs in other network namespaces", &[checks::ADMIN]),
    counted("which queue each NAPI instance serves", &[checks::QUEUES]),
];

pub(super) fn render(checks: &[Check]) -> String {
    let is_ok = |name: &&str| checks.iter().any(|check| check.name == *name && check.state == State::Ok);
    let has_times = has_times(checks);
    let starts = checks.iter().all(|check| check.name != checks::START || check.state != State::Fail);
    let mut text = "On this machine nicmon shows:\n".to_owned();
    for Figure { what, is_timed, needs } in FIGURES {
        let is_shown = starts && (has_times || !is_timed) && needs.iter().all(is_ok);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:<4} {what}", if is_shown { "yes" } else { "no" });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_symbols_there_are_times_and_no_names() {
        let checks = [Check::ok(checks::ADMIN, ""), Check::warn(checks::SYMBOLS, "")];
        let text = render(&checks);
        assert!(text.contains("  yes  exact times") && text.contains("  no   names of poll"), "{text}");
        assert!(
            text.contains("  yes  drivers and counters") && text.contains("  no   which queue"),
            "{text}"
        );
    }

    #[test]
    fn without_a_start_there_is_nothing() {
        let text = render(&[Check::ok(checks::SYMBOLS, ""), Check::fail(checks::START, "")]);
        assert!(!text.contains("  yes"), "{text}");
    }

    #[test]
    fn without_times_there_are_counts() {
        let text = render(&[Check::ok(checks::SYMBOLS, ""), Check::fail("kernel BTF", "")]);
        assert!(text.contains("  yes  packets") && text.contains("  no   exact times"), "{text}");
        assert!(text.contains("  no   names of poll"), "{text}");
    }
}
