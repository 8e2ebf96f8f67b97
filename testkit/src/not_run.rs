//! How a test reports that it did not run, and how `cargo xtask test` reads that.

use std::{
    io::{self, Write as _},
    thread,
};

const MARK: &str = "DID NOT RUN: ";

/// Reports that the test `name` cannot run. This does not use `eprintln!`, because the test harness hides its
/// output if a test passes.
pub fn say(name: &str, reason: &str) {
    // Without standard error, nobody reads the results anyway.
    let _ = writeln!(io::stderr(), "{MARK}{name}: {reason}");
}

/// Reports that the test on this thread cannot run. The test harness names the thread after the test.
pub fn say_of_this_thread(reason: &str) {
    say(thread::current().name().unwrap_or("a test"), reason);
}

/// Name and reason, if the line reports that a test did not run.
pub fn read(line: &str) -> Option<(&str, &str)> {
    let said = line.strip_prefix(MARK)?;
    Some(said.split_once(": ").unwrap_or((said, "no reason given")))
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_are_read() {
        assert_eq!(super::read("DID NOT RUN: a::b: needs root: sudo"), Some(("a::b", "needs root: sudo")));
        assert_eq!(super::read("DID NOT RUN: a"), Some(("a", "no reason given")));
        assert_eq!(super::read("test a ... ok"), None);
    }
}
