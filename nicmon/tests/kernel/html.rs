//! The HTML page of a recording, opened in a browser.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, ensure};
use testkit::{
    load::{Receive, UdpLoad, VethPair},
    process::output,
};

use crate::{loads::plan, tell};

/// The page is also XML, and Chromium draws nothing of an XML file after the first error.
pub(crate) fn in_chromium() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (recording, page) = (folder.path().join("a.rec"), folder.path().join("page.xhtml"));
    let picture = folder.path().join("page.png");
    let pair = VethPair::create("nicmon-t-html")?;
    pair.receive_by(Receive::Napi, 0)?;
    let load = UdpLoad::start(&pair, plan(0))?;
    let nicmon = || Command::new(env!("CARGO_BIN_EXE_nicmon"));
    let mut record = nicmon();
    record.args(["record", "-q", "-F", "999", "--stacks", "-d", "500ms", "-o"]).arg(&recording);
    output(record.args(["--", "sleep", "3"]))?;
    load.stop()?;
    output(nicmon().args(["report", "--html"]).arg(&page).arg(&recording))?;

    // Chromium may hang on an overloaded machine. With a fresh profile it does not hang a second time.
    let chromium = |arguments: &[&str]| -> Result<String> {
        let once = |profile: &str| {
            let mut command = Command::new("timeout");
            command.args(["-k", "5", "90", "chromium", "--headless", "--no-sandbox", "--disable-gpu"]);
            command.args(["--disable-dev-shm-usage", "--window-size=1200,2000"]);
            // Its profile is removed with the folder.
            command.arg(format!("--user-data-dir={}", folder.path().join(profile).display()));
            output(command.args(arguments))
        };
        once("first").or_else(|error| {
            tell("HTML", &format!("once more: {error:#}"));
            once("second")
        })
    };
    let url = format!("file://{}", page.display());
    let shown = chromium(&["--dump-dom", &url])?;
    ensure!(!shown.contains("parsererror"), "Chromium cannot parse the page: {shown}");
    let has =
        |text: &str| shown.contains(text).then_some(()).with_context(|| format!("the page has no {text}"));
    for text in ["demo-rx · CPU 0", "Driver costs", "Call stacks of network code", "veth_poll: "] {
        has(text)?;
    }
    chromium(&[&format!("--screenshot={}", picture.display()), &url])?;
    let bytes = fs::metadata(&picture).context("Chromium drew nothing")?.len();
    tell("HTML", &format!("{} bytes, drawn in {bytes}", fs::metadata(&page)?.len()));
    // A blank picture of this size takes some 10 kB.
    ensure!(bytes > 30_000, "the picture is nearly blank: {bytes} bytes");
    Ok(())
}
