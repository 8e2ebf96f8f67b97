//! Options of `schema`, `man` and `completions`, which describe nicmon.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use super::OUTPUT;

/// Options of `schema`.
#[derive(Debug, Args)]
pub struct Schema {
    /// What to describe
    #[arg(value_enum, value_name = "OF", default_value_t = SchemaOf::Frame)]
    pub of: SchemaOf,
    /// Print a table in Markdown instead of the JSON Schema
    #[arg(long, help_heading = OUTPUT)]
    pub markdown: bool,
}

/// Options of `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Write nicmon.1 and one page per command into this directory
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Print all commands and options as one Markdown page
    #[arg(long, conflicts_with = "directory", help_heading = OUTPUT)]
    pub markdown: bool,
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// What has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SchemaOf {
    /// what --json prints, and recordings hold
    Frame,
    /// what compare --json prints
    Comparison,
    /// what path --json prints
    Path,
    /// what overhead --json prints
    Overhead,
}
