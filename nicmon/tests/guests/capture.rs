//! A capture from the lab: files, links and the output of commands, in one text file
//! (`xtask/src/lab/capture.rs`).

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::topology_compare::Machine;

/// A capture with its files unpacked.
pub(crate) struct Capture {
    root: TempDir,
    /// Output of commands; `None` if they failed.
    printed: HashMap<String, Option<String>>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/guests")
}

/// Names of all captures.
pub(crate) fn names() -> Vec<String> {
    let entries = fs::read_dir(folder()).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("linux-")).collect();
    names.sort();
    names
}

impl Capture {
    /// Unpacks a capture.
    pub(crate) fn unpack(name: &str) -> Result<Self> {
        let text = fs::read_to_string(folder().join(name))?;
        let mut capture = Self { root: tempfile::tempdir()?, printed: HashMap::new() };
        for (name, content) in parts(&text) {
            capture.add(name, content).with_context(|| format!("cannot unpack {name}"))?;
        }
        Ok(capture)
    }

    fn add(&mut self, name: &str, content: &str) -> Result<()> {
        if let Some(command) = name.strip_prefix("$ ") {
            let failed = command.strip_suffix(": failed");
            let printed = if failed.is_some() { None } else { Some(content.to_owned()) };
            self.printed.insert(failed.unwrap_or(command).to_owned(), printed);
            return Ok(());
        }
        let (path, target) = name.split_once(" -> ").map_or((name, None), |(path, to)| (path, Some(to)));
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap_or(self.root.path()))?;
        match target {
            Some(target) => symlink(target, path)?,
            None => fs::write(path, content)?,
        }
        Ok(())
    }

    /// The root of its files.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    /// Output of a command; `None` if it failed.
    pub(crate) fn printed(&self, command: &str) -> Result<Option<String>> {
        self.printed.get(command).cloned().with_context(|| format!("`{command}` was not captured"))
    }
}

/// The parts of the archive as (name, content): the content is between `-- NAME --` and the next such line.
fn parts(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text.split_once("\n-- ").map(|(_, rest)| rest);
    std::iter::from_fn(move || {
        let (name, after) = rest?.split_once(" --\n")?;
        // After an empty part the next name follows directly.
        let (content, next) = match after.strip_prefix("-- ") {
            Some(next) => ("", Some(next)),
            None => after.split_once("\n-- ").map_or((after, None), |(content, next)| (content, Some(next))),
        };
        rest = next;
        Some((name, content))
    })
}

impl Machine for Capture {
    fn ethtool(&self, arguments: &str) -> Result<Option<String>> {
        self.printed(&format!("ethtool {arguments}"))
    }

    fn file(&self, path: &str) -> Option<String> {
        Some(fs::read_to_string(self.at(path)).ok()?.trim().to_owned())
    }

    fn names(&self, directory: &str) -> Option<Vec<String>> {
        let entries = fs::read_dir(self.at(directory)).ok()?.flatten();
        Some(entries.filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }
}
