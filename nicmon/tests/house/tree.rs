//! The files of this repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders without files of ours: cargo's output and git's own data.
const FOREIGN: [&str; 2] = ["target", ".git"];

/// A file, by its path in the repository.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("nicmon lies in the workspace")
}

/// All files below a folder with one of these extensions, sorted by path. There is at least one.
pub(crate) fn files(folder: &str, extensions: &[&str]) -> Vec<File> {
    let mut paths = Vec::new();
    collect(&root().join(folder), extensions, &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "{folder} holds no file of {extensions:?}");
    let read = |path: PathBuf| File {
        text: fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        path: path.strip_prefix(root()).unwrap_or(&path).display().to_string(),
    };
    paths.into_iter().map(read).collect()
}

fn collect(folder: &Path, extensions: &[&str], paths: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder can be listed").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !FOREIGN.contains(&name.as_str()) {
                collect(&path, extensions, paths);
            }
        } else if path.extension().is_some_and(|found| extensions.iter().any(|wanted| found == *wanted)) {
            paths.push(path);
        }
    }
}

/// Whether all of a file is test code.
pub(crate) fn is_test(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "tests.rs")
}
