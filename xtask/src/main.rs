//! nicmon's developer commands: `cargo xtask <command>`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod build_ebpf;
mod demo;
mod dist;
mod lab;
mod ramp;
mod run;
mod screenshots;
mod test;
mod toolchain;
mod workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the kernel object that nicmon embeds (the result is committed)
    BuildEbpf(build_ebpf::Args),
    /// Build bpf-linker, which build-ebpf needs, into target/tools
    InstallTools,
    /// Build nicmon and run it, through sudo unless you are root
    Run(run::Args),
    /// Run all tests, and list those that did not run
    Test(test::Args),
    /// Run nicmon on a small network of its own, with traffic on a CPU of your choice
    Demo(demo::Args),
    /// Draw the pictures in README from recorded frames
    Screenshots(screenshots::Args),
    /// Measure what nicmon costs, beside other tools
    Bench(bench::Args),
    /// Raise a load until a CPU is full, and compare with the headroom that nicmon reported before
    Ramp(ramp::Args),
    /// Build the Debian package and the tarball into target/dist (needs cargo-deb)
    Dist,
    /// Run nicmon beside perf on real drivers, in a QEMU guest
    Lab(lab::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::BuildEbpf(args) => build_ebpf::main(&args),
        Command::InstallTools => toolchain::install_tools(),
        Command::Run(args) => run::main(&args),
        Command::Test(args) => test::main(&args),
        Command::Demo(args) => demo::main(&args),
        Command::Screenshots(args) => screenshots::main(&args),
        Command::Bench(args) => bench::main(&args),
        Command::Ramp(args) => ramp::main(&args),
        Command::Dist => dist::main(),
        Command::Lab(args) => lab::main(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}
