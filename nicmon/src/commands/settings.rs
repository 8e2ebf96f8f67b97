//! How the user wants the screen: options, and the configuration file.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{Failure, output::print_message};
use crate::{
    cli::Look,
    tui::{self, Settings, Sort, Theme, Units, View},
};

/// The most that a configuration may have; more is no configuration.
const MOST_BYTES: u64 = 1 << 16;

/// What the options and the first configuration file that exists ask for.
pub(super) fn settings(look: &Look) -> Result<Settings, Failure> {
    let file = match &look.config {
        Some(path) => {
            read(path).map_err(|source| Failure::Config { path: path.clone(), what: source.to_string() })?
        }
        None => default_paths().into_iter().find_map(|path| read_default(&path)),
    };
    let file = match file {
        Some((path, text)) => parse(&path, &text)?,
        None => File::default(),
    };
    let settings = file.settings();
    let theme = look.theme.map_or(settings.theme, cli_theme);
    Ok(Settings { theme, ..settings })
}

fn cli_theme(name: crate::cli::ThemeArg) -> Theme {
    match name {
        crate::cli::ThemeArg::Auto => Theme::from_environment(),
        crate::cli::ThemeArg::Color => Theme::COLOUR,
        crate::cli::ThemeArg::Mono => Theme::PLAIN,
    }
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
fn read_default(path: &Path) -> Option<(PathBuf, String)> {
    if fs::metadata(path).is_err() {
        return None;
    }
    match read(path) {
        Ok(read) => read,
        Err(error) => {
            print_message(&format!("the configuration {} is not used: {error}", super::failure::shown(path)));
            None
        }
    }
}

/// The text of a file. Root reads none that others may write.
fn read(path: &Path) -> io::Result<Option<(PathBuf, String)>> {
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
    Ok(Some((path.to_owned(), text)))
}

/// The configuration file. docs/reference/screen.md explains each key.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    view: Option<ViewName>,
    theme: Option<ThemeName>,
    units: Option<UnitsName>,
    sort: Option<SortName>,
    columns: Vec<String>,
    keys: BTreeMap<char, char>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ViewName {
    Overview,
    Cpus,
    Nic,
    Drivers,
    Findings,
    Nicmon,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ThemeName {
    Auto,
    Color,
    Mono,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum UnitsName {
    #[serde(rename = "%")]
    Pct,
    #[serde(rename = "ns/packet")]
    NsPerPacket,
    #[serde(rename = "packets/s")]
    Packets,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SortName {
    Load,
    Received,
    Drops,
    Name,
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
    fn settings(self) -> Settings {
        let default = Settings::default();
        Settings {
            view: self.view.map_or(default.view, |view| match view {
                ViewName::Overview => View::Overview,
                ViewName::Cpus => View::Cpus,
                ViewName::Nic => View::Nic,
                ViewName::Drivers => View::Drivers,
                ViewName::Findings => View::Findings,
                ViewName::Nicmon => View::Own,
            }),
            theme: match self.theme {
                None | Some(ThemeName::Auto) => Theme::from_environment(),
                Some(ThemeName::Color) => Theme::COLOUR,
                Some(ThemeName::Mono) => Theme::PLAIN,
            },
            units: self.units.map_or(default.units, |units| match units {
                UnitsName::Pct => Units::Pct,
                UnitsName::NsPerPacket => Units::NsPerPacket,
                UnitsName::Packets => Units::Packets,
            }),
            sort: self.sort.map_or(default.sort, |sort| match sort {
                SortName::Load => Sort::Load,
                SortName::Received => Sort::Received,
                SortName::Drops => Sort::Drops,
                SortName::Name => Sort::Name,
            }),
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
        let settings = parse(Path::new("c"), text).expect("it is right").settings();
        assert_eq!((settings.view, settings.theme), (View::Cpus, Theme::PLAIN));
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
