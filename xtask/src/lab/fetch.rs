//! Fetches Debian packages without installing them, with a separate apt root and `dpkg-deb -x`.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use testkit::process::output;

/// Debian's keys. Without this file, apt falls back to the machine's own settings.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Debian packages to be unpacked together into one folder.
#[derive(Debug)]
pub(super) struct Bundle<'a> {
    /// Name of the folder in the cache.
    pub(super) name: &'a str,
    /// Suites of the archive: `NAME` or `NAME-security`.
    pub(super) suites: &'a [&'a str],
    /// The suite to prefer if several have a package.
    pub(super) prefer: &'a str,
    /// The packages to fetch, along with their dependencies.
    pub(super) packages: &'a [&'a str],
    /// Unpack only packages whose names start with one of these; all, if empty.
    pub(super) only: &'a [&'a str],
}

impl Bundle<'_> {
    /// Returns the folder with the unpacked packages. Fetches them first unless an earlier run did.
    pub(super) fn get(&self, cache: &Path) -> Result<PathBuf> {
        let folder = cache.join(self.name);
        if folder.is_dir() {
            return Ok(folder);
        }
        eprintln!("xtask: fetching {} ({})", self.name, self.packages.join(", "));
        fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
        let work = tempfile::Builder::new()
            .prefix(".fetching-")
            .tempdir_in(cache)
            .with_context(|| format!("cannot write to {}", cache.display()))?;
        self.unpack(work.path()).with_context(|| {
            format!(
                "cannot fetch {} from the Debian archive that this machine's apt uses. It is needed \
                 only once: try again where the archive can be reached, or set NICMON_LAB to a folder that \
                 another run has filled",
                self.name
            )
        })?;
        fs::rename(work.path().join("tree"), &folder)
            .with_context(|| format!("cannot move what was fetched to {}", folder.display()))?;
        Ok(folder)
    }

    fn unpack(&self, work: &Path) -> Result<()> {
        let apt = AptRoot::create(work, self.suites)?;
        // By default, apt only warns if it cannot reach an archive.
        output(apt.command("apt-get").args(["-qq", "-o", "APT::Update::Error-Mode=any", "update"]))?;
        output(
            apt.command("apt-get")
                .args([
                    "-qq",
                    "-y",
                    "--download-only",
                    "--no-install-recommends",
                    "-t",
                    self.prefer,
                    "install",
                ])
                .args(self.packages),
        )?;
        let tree = work.join("tree");
        fs::create_dir(&tree)?;
        let mut unpacked = 0;
        for entry in fs::read_dir(apt.archives())? {
            let file = entry?.path();
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let wanted = self.only.is_empty() || self.only.iter().any(|prefix| name.starts_with(prefix));
            if wanted && file.extension().is_some_and(|extension| extension == "deb") {
                output(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&tree))?;
                unpacked += 1;
            }
        }
        if unpacked == 0 {
            bail!("apt fetched none of the packages {}", self.packages.join(", "));
        }
        Ok(())
    }
}

/// An apt with lists, cache and sources in a separate folder, and with no package installed.
struct AptRoot {
    folder: PathBuf,
}

impl AptRoot {
    fn create(folder: &Path, suites: &[&str]) -> Result<Self> {
        for part in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))?;
        }
        File::create(folder.join("state/status"))?;
        fs::write(
            folder.join("sources.list"),
            sources(&Mirrors::of_this_machine(folder)?, suites, Path::new(KEYRING).exists()),
        )?;
        Ok(Self { folder: folder.to_owned() })
    }

    fn archives(&self) -> PathBuf {
        self.folder.join("cache/archives")
    }

    fn command(&self, program: &str) -> Command {
        let at = |part: &str| self.folder.join(part).display().to_string();
        let mut command = Command::new(program);
        for (key, value) in [
            ("Dir::Etc::sourcelist", at("sources.list")),
            ("Dir::Etc::sourceparts", "-".to_owned()),
            ("Dir::State", at("state")),
            ("Dir::State::status", at("state/status")),
            ("Dir::Cache", at("cache")),
            ("APT::Architecture", "amd64".to_owned()),
            ("APT::Sandbox::User", "root".to_owned()),
            ("Acquire::Languages", "none".to_owned()),
        ] {
            command.arg("-o").arg(format!("{key}={value}"));
        }
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    }
}

/// The addresses of the archive and of its security part, from this machine's apt settings.
#[derive(Debug, PartialEq, Eq)]
struct Mirrors {
    main: String,
    security: String,
}

impl Mirrors {
    fn of_this_machine(folder: &Path) -> Result<Self> {
        let list = |state: &[String]| {
            let targets = [
                "indextargets",
                "--format",
                "$(REPO_URI) $(CODENAME)",
                "Created-By: Packages",
                "Origin: Debian",
            ];
            output(Command::new("apt-get").args(state).args(targets))
        };
        if let Some(mirrors) = Self::parse(&list(&[])?) {
            return Ok(mirrors);
        }
        // apt reports only archives whose lists it has downloaded, and this machine's lists may be deleted.
        let state = ["-o".to_owned(), format!("Dir::State={}", folder.join("state").display())];
        output(Command::new("apt-get").args(&state).args([
            "-o",
            "APT::Sandbox::User=root",
            "-qq",
            "update",
        ]))?;
        Self::parse(&list(&state)?).context(
            "this machine's apt sources lack a Debian archive or its security part, from which the lab \
             fetches packages. Add both to the sources",
        )
    }

    /// Parses lines with an address and a suite.
    fn parse(list: &str) -> Option<Self> {
        let mut lines = list.lines().filter_map(|line| line.split_once(' '));
        let security = lines.clone().find(|(_, suite)| suite.ends_with("-security"))?.0.to_owned();
        let main = lines.find(|(_, suite)| !suite.contains('-'))?.0.to_owned();
        Some(Self { main, security })
    }
}

fn sources(mirrors: &Mirrors, suites: &[&str], with_keyring: bool) -> String {
    let signed = if with_keyring { format!("[signed-by={KEYRING}] ") } else { String::new() };
    suites.iter().fold(String::new(), |list, suite| {
        let address = if suite.ends_with("-security") { &mirrors.security } else { &mirrors.main };
        format!("{list}deb {signed}{address} {suite} main\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_come_from_the_machines_own_sources() {
        let list = "http://mirror.invalid/debian/ bookworm\nhttp://mirror.invalid/debian/ bookworm-updates\n\
                    http://mirror.invalid/security/ bookworm-security\n";
        let mirrors = Mirrors::parse(list).unwrap();
        assert_eq!(
            sources(&mirrors, &["trixie", "bullseye-security"], false),
            "deb http://mirror.invalid/debian/ trixie main\n\
             deb http://mirror.invalid/security/ bullseye-security main\n"
        );
        assert_eq!(Mirrors::parse("http://mirror.invalid/debian/ bookworm\n"), None);
    }
}
