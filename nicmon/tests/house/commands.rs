//! The commands in the documents work.
//!
//! Blocks with the info string `sh` are run by `bash -euo pipefail`. Those of one page run in order, in an
//! initially empty directory. `sh exit=3` marks a block that must exit with 3; `sh not-run="reason"` marks
//! one that is not run.

use std::{
    env,
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal};
use testkit::{not_run, process};

use crate::{
    report,
    tree::{self, File as Page},
};

const NICMON: &str = env!("CARGO_BIN_EXE_nicmon");
const PATIENCE: Duration = Duration::from_mins(1);
/// How many pages are tried at once.
const AT_ONCE: usize = 3;
/// Fewer blocks than this would mean that they are no longer found.
const LEAST: usize = 12;

#[test]
fn commands_in_the_documents_work() {
    let pages = pages();
    let blocks: Vec<_> = pages.iter().map(|page| (page, blocks(&page.path, &page.text))).collect();
    let run = blocks.iter().flat_map(|(_, blocks)| blocks).filter(|block| block.expected.is_ok()).count();
    assert!(run >= LEAST, "the documents have {run} blocks to run, fewer than {LEAST}");
    if let Err(reason) = programs_load() {
        for (page, _) in blocks {
            not_run::say(&format!("commands of {}", page.path), &reason);
        }
        return;
    }
    // Most of the time they wait, and pages have nothing to do with each other.
    let findings: Vec<String> = thread::scope(|scope| {
        let pages = |first| blocks.iter().skip(first).step_by(AT_ONCE);
        let work = |first| scope.spawn(move || pages(first).flat_map(try_page).collect::<Vec<_>>());
        let workers: Vec<_> = (0..AT_ONCE).map(work).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("it does not panic")).collect()
    });
    report("commands in the documents that do not work", &findings);
}

/// Runs the blocks of a page in order, and returns what is wrong with them.
fn try_page((page, blocks): &(&Page, Vec<Block>)) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let mut findings = Vec::new();
    for block in blocks {
        match &block.expected {
            Ok(code) => findings.extend(try_block(&page.path, block, *code, folder.path())),
            Err(reason) => println!("{}:{}: not run: {reason}", page.path, block.line),
        }
    }
    findings
}

fn pages() -> Vec<Page> {
    let mut pages = tree::files("docs/start", &["md"]);
    pages.extend(tree::files("docs/guides", &["md"]));
    let text = fs::read_to_string(tree::root().join("README.md")).expect("README.md can be read");
    pages.push(Page { path: "README.md".to_owned(), text });
    pages
}

/// The documents are written for a user who may load eBPF programs.
fn programs_load() -> Result<(), String> {
    if !process::is_root() {
        return Err("needs root".to_owned());
    }
    let tried = Command::new(NICMON).args(["--json", "-n", "1", "-d", "100ms", "--source", "bpf"]).output();
    let tried = tried.map_err(|error| error.to_string())?;
    if tried.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&tried.stderr).trim().to_owned())
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Block {
    /// Where its first command is.
    line: usize,
    script: String,
    /// The expected exit code, or the reason why the block is not run.
    expected: Result<i32, String>,
}

/// The blocks of a page with the info string `sh`.
fn blocks(path: &str, page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.trim_start().strip_prefix("```") else { continue };
        let content = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim_start() != "```");
        let script = content.fold(String::new(), |script, line| script + line + "\n");
        let (language, options) = info.split_once(' ').unwrap_or((info, ""));
        if language == "sh" {
            let expected =
                expected(options).unwrap_or_else(|| panic!("{path}:{}: what is `{info}`?", number + 1));
            blocks.push(Block { line: number + 2, script, expected });
        }
    }
    blocks
}

fn expected(options: &str) -> Option<Result<i32, String>> {
    if options.is_empty() {
        Some(Ok(0))
    } else if let Some(code) = options.strip_prefix("exit=") {
        Some(Ok(code.parse().ok()?))
    } else {
        let reason = options.strip_prefix("not-run=\"")?.strip_suffix('"')?;
        (!reason.is_empty()).then(|| Err(reason.to_owned()))
    }
}

/// Runs a block and returns what is wrong with it.
fn try_block(path: &str, block: &Block, code: i32, folder: &Path) -> Option<String> {
    let place = format!("{path}:{}", block.line);
    let log = folder.join(".output");
    let problem = match run(&block.script, folder, &log) {
        Ok(Some(status)) if status.code() == Some(code) => return None,
        Ok(Some(status)) => format!("{status}, where {code} was expected"),
        Ok(None) => format!("still running after {PATIENCE:?}"),
        Err(error) => format!("cannot be run: {error}"),
    };
    let output = fs::read_to_string(&log).unwrap_or_default();
    let lines: Vec<_> = output.lines().collect();
    let last = lines[lines.len().saturating_sub(10)..].join("\n    ");
    Some(format!("{place}: {problem}; its last lines:\n    {last}"))
}

/// Runs a script with all output in `log`; `None` if it had to be killed.
fn run(script: &str, folder: &Path, log: &Path) -> std::io::Result<Option<ExitStatus>> {
    let output = File::create(log)?;
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", script]).current_dir(folder).env("HOME", folder).env("PATH", path());
    bash.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    // A new process group, so that everything the script started ends with it.
    let mut child = bash.process_group(0).spawn()?;
    let start = Instant::now();
    let mut status = child.try_wait()?;
    while status.is_none() && start.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(20));
        status = child.try_wait()?;
    }
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // Most groups have already ended.
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
    child.wait()?;
    Ok(status)
}

/// The nicmon that was built for this test comes first.
fn path() -> std::ffi::OsString {
    let folder = Path::new(NICMON).parent().map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(folder.into_iter().chain(env::split_paths(&path))).expect("PATH can be extended")
}

#[cfg(test)]
mod tests {
    use super::{Block, blocks, try_block};

    #[test]
    fn blocks_are_read() {
        let page =
            "```sh\na\nb\n```\n```json\n{}\n```\n  ```sh exit=3\n  c\n  ```\n```sh not-run=\"ssh\"\nd\n```\n";
        let block = |line, script: &str, expected| Block { line, script: script.to_owned(), expected };
        let wanted =
            [block(2, "a\nb\n", Ok(0)), block(9, "  c\n", Ok(3)), block(12, "d\n", Err("ssh".to_owned()))];
        assert_eq!(blocks("a.md", page), wanted);
    }

    #[test]
    #[should_panic(expected = "a.md:1: what is `sh not-run`?")]
    fn a_block_that_is_not_run_has_a_reason() {
        blocks("a.md", "```sh not-run\nd\n```\n");
    }

    #[test]
    fn a_block_that_fails_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let tried = |script: &str, code| {
            let block = Block { line: 2, script: script.to_owned(), expected: Ok(code) };
            try_block("a.md", &block, code, folder.path())
        };
        assert_eq!(tried("echo >file; test -f file", 0), None);
        assert_eq!(tried("test -f file\nexit 3", 3), None);
        let said = tried("echo told; false | true; echo never", 0).unwrap();
        assert!(
            said.contains("a.md:2: exit status: 1, where 0 was expected") && said.ends_with("told"),
            "{said}"
        );
        assert!(tried("echo $NOT_SET", 0).is_some());
    }
}
