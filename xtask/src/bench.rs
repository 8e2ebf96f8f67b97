//! `cargo xtask bench`: builds nicmon and the benchmark, then runs the benchmark in place of this process.

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;

use crate::workspace::{self, Profile};

#[derive(clap::Args)]
// The benchmark prints its own help.
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Options of the benchmark; see `cargo xtask bench --help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    options: Vec<OsString>,
}

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let bench = workspace::build("nicmon-bench", Profile::Quick)?;
    if args.options.iter().any(|option| option == "-h" || option == "--help") {
        return Err(workspace::exec(std::process::Command::new(bench).arg("--help")));
    }
    let nicmon = workspace::build_nicmon(Profile::Dist)?;
    let mut command = workspace::root_command(&bench);
    command.arg("--nicmon").arg(nicmon);
    command.arg("--kernel-object").arg(workspace::kernel_object(workspace::host_arch()?));
    Err(workspace::exec(command.args(&args.options)))
}
