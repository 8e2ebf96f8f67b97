//! Options of the screen.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::SHOW;

/// How the screen looks.
#[derive(Debug, Clone, Default, Args)]
pub struct Look {
    /// Colours of the screen: auto, color, mono
    ///
    /// auto is what the terminal can do, without colours if `NO_COLOR` is set. Wins over the configuration.
    #[arg(
        long,
        value_name = "THEME",
        value_enum,
        hide_possible_values = true,
        hide_short_help = true,
        help_heading = SHOW
    )]
    pub theme: Option<ThemeArg>,
    /// Read the screen's configuration from this file
    ///
    /// Without this option, nicmon reads `$XDG_CONFIG_HOME/nicmon/config.toml` or, if there is none,
    /// `/etc/nicmon/config.toml`. Root reads no file that others may change.
    #[arg(long, value_name = "FILE", hide_short_help = true, help_heading = SHOW)]
    pub config: Option<PathBuf>,
}

/// Colours of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ThemeArg {
    /// What the terminal can do.
    Auto,
    /// 16 colours.
    Color,
    /// Bold and reverse only.
    Mono,
}
