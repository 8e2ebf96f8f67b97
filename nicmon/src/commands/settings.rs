//! How the user wants the screen: options, and the configuration file.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{Failure, failure::shown, output::print_message};
use crate::{
    cli::{Look, ThemeArg},
    tui::{self, Settings, Sort, Theme, Units, View},
};

/// The most that a configuration may have; more is no configuration.
const MOST_BYTES: u64 = 1 << 16;

/// What the options and the first configuration file that exists ask for.
pub(super) fn settings(look: &Look) -> Result<Settings, Failure> {
    let named = look.config.as_ref().map(|path| match read(path) {
        Ok(text) => Ok((path.clone(), text)),
        Err(error) => Err(Failure::Config { path: path.clone(), what: error.to_string() }),
    });
    let file = match named.transpose()?.or_else(|| default_paths().into_iter().find_map(read_default)) {
        Some((path, text)) => parse(&path, &text)?,
        None => File::default(),
    };
    Ok(file.settings(look.theme))
}

/// Where a configuration may be, the first that exists counts.
fn default_paths() -> Vec<PathBuf> {
    let is_set = |path: &PathBuf| path.is_absolute();
    let home = env::var_os("HOME").map(PathBuf::from).filter(is_set).map(|home| home.join(".config"));
    let own = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(is_set).or(home);
    own.into_iter().chain([PathBuf::from("/etc")]).map(|folder| folder.join("nicmon/config.toml")).collect()
}

/// A file that nobody named: if it may not be used, nicmon says so and does without. `HOME` may be that of
/// another user, whose files are no concern of this one.
fn read_default(path: PathBuf) -> Option<(PathBuf, String)> {
    if fs::metadata(&path).is_err() {
        return None;
    }
    match read(&path) {
        Ok(text) => Some((path, text)),
        Err(error) => {
            print_message(&format!("the configuration {} is not used: {error}", shown(&path)));
            None
        }
    }
}

/// The text of a file. Root reads none that others may write.
fn read(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let metadata = file.metadata()?;
    let is_root = rustix::process::geteuid().is_root();
    if is_root && (metadata.uid() != 0 || metadata.mode() & 0o022 != 0) {
        let what = "root uses none that others may change; use `chown root` and `chmod go-w`";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    if metadata.len() > MOST_BYTES || !metadata.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is not a regular file of less than 64 KiB",
        ));
    }
    let mut text = String::new();
    file.by_ref().take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// The configuration file. docs/reference/screen.md explains each key.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    view: Option<View>,
    theme: Option<ThemeArg>,
    units: Option<Units>,
    sort: Option<Sort>,
    columns: Vec<String>,
    keys: BTreeMap<char, char>,
}

fn parse(path: &Path, text: &str) -> Result<File, Failure> {
    let fail = |line: usize, what: &str| {
        let key = text.lines().nth(line.saturating_sub(1)).and_then(|line| line.split_once('='));
        let key = key.map_or_else(String::new, |(key, _)| format!(", key {}", key.trim()));
        Failure::Config { path: path.to_owned(), what: format!("line {line}{key}: {what}") }
    };
    let file: File = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = 1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count();
        fail(line, &error.message().replace('\n', " "))
    })?;
    let line_of = |word: &str| 1 + text.lines().position(|line| line.contains(word)).unwrap_or(0);
    if let Some(unknown) = file.columns.iter().find(|column| !tui::nic_columns().contains(&column.as_str())) {
        let known = tui::nic_columns().join(", ");
        return Err(fail(line_of(unknown), &format!("there is no column {unknown:?}; there are {known}")));
    }
    if let Some((new, old)) = file.keys.iter().find(|(_, old)| !tui::is_key(**old)) {
        let line = line_of(&format!("{old:?}").replace('\'', "\""));
        return Err(fail(
            line,
            &format!("{new:?} is to do what {old:?} does, which does nothing; see the help"),
        ));
    }
    Ok(file)
}

impl File {
    /// `theme` is that of the command line, which wins.
    fn settings(self, theme: Option<ThemeArg>) -> Settings {
        let default = Settings::default();
        Settings {
            view: self.view.unwrap_or(default.view),
            theme: match theme.or(self.theme) {
                None | Some(ThemeArg::Auto) => Theme::from_environment(),
                Some(ThemeArg::Color) => Theme::coloured(),
                Some(ThemeArg::Mono) => Theme::from_environment().without_colours(),
            },
            units: self.units.unwrap_or(default.units),
            sort: self.sort.unwrap_or(default.sort),
            columns: self.columns,
            keys: self.keys,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let error = parse(Path::new("/etc/nicmon/config.toml"), text).expect_err("it is wrong");
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    }

    #[test]
    fn a_configuration() {
        let text = "view = \"cpus\"\ntheme = \"mono\"\nunits = \"ns/packet\"\nsort = \"drops\"\n\
                    columns = [\"LOAD%\", \"DROP/s\"]\n[keys]\nQ = \"q\"\n\"ö\" = \"[\"\n";
        let settings = parse(Path::new("c"), text).expect("it is right").settings(None);
        assert_eq!((settings.view, settings.theme), (View::Cpus, settings.theme.without_colours()));
        assert_eq!((settings.units, settings.sort), (Units::NsPerPacket, Sort::Drops));
        assert_eq!(settings.keys.get(&'ö'), Some(&'['));
    }

    #[test]
    fn errors_name_line_and_key() {
        let wrong = [
            ("theme = \"mono\"\nview = \"cpu\"\n", "line 2, key view: unknown variant `cpu`"),
            ("\nvieww = \"cpus\"\n", "line 2, key vieww: unknown field `vieww`"),
            ("view = 7\n", "line 1, key view: "),
            ("view = \"cpus\n", "line 1, key view: "),
            (
                "columns = [\n\"LOAD%\",\n\"SPEED\"]\n",
                "line 3: there is no column \"SPEED\"; there are LOAD%",
            ),
            ("[keys]\nx = \"ß\"\n", "line 2, key x: 'x' is to do what 'ß' does, which does nothing"),
            ("[keys]\nxy = \"q\"\n", "line 2, key xy: "),
        ];
        for (text, expected) in wrong {
            let error = error(text);
            assert!(error.contains("/etc/nicmon/config.toml") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn root_reads_no_file_that_others_may_write() {
        use std::os::unix::fs::PermissionsExt as _;
        let file = tempfile::NamedTempFile::new().expect("a file");
        let allow =
            |mode| fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).expect("own file");
        allow(0o644);
        assert!(read(file.path()).is_ok());
        allow(0o666);
        assert_eq!(read(file.path()).is_err(), rustix::process::geteuid().is_root());
    }
}
