//! What help and manual pages say after the options: examples, exit status, environment, files.

use std::{fmt::Write as _, iter};

use super::wrap::wrap;

/// Columns of these texts. clap wraps longer lines, without indenting what follows.
const WIDTH: usize = 80;
/// Examples that `-h` shows: more would not fit its screen.
const IN_SUMMARY: usize = 2;
/// Only nicmon itself has more.
const MANY_SECTIONS: usize = 3;

/// A command line, and what it does.
pub type Example = (&'static str, &'static str);

/// The text after the options of a command.
#[derive(Debug, Clone, Copy)]
pub struct Notes {
    /// The first of them are also in `-h`.
    pub examples: &'static [Example],
    /// Further sections, in the order of a manual page.
    pub sections: &'static [Section],
}

/// A section: lines such as an exit code and its meaning.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// A term and what it means.
    pub entries: &'static [(&'static str, &'static str)],
}

const DONE: (&str, &str) = ("0", "done, or ended by SIGINT, SIGTERM, SIGHUP or a closed pipe");
const FAILED: (&str, &str) = ("1", "something failed; the message says what, why, and what to do");
const WRONG: (&str, &str) = ("2", "wrong usage, or input that cannot be read");

const EXIT_STATUS: Section = Section { title: "Exit status", entries: &[DONE, FAILED, WRONG] };

const KEYS: Section = Section {
    title: "Keys",
    entries: &[
        ("q", "quit"),
        ("?", "help, with the meaning of each column"),
        ("Tab", "switch views: NICs and CPUs, or what drivers cost"),
        ("p", "pause"),
        ("+ -", "longer, shorter time between frames"),
        ("s", "order of NICs"),
        ("arrows", "scroll"),
        ("n b", "in a replay: one frame forward, back"),
        ("> <", "in a replay: faster, slower"),
    ],
};

const ENVIRONMENT: Section = Section {
    title: "Environment",
    entries: &[
        ("NO_COLOR", "if set and not empty, the screen uses bold and reverse instead of colors"),
        ("TERM", "if unset, empty or dumb, nicmon prints tables instead of drawing a screen"),
        ("COLUMNS", "width of the help, if standard output is not a terminal"),
    ],
};

const ALL: Notes = Notes {
    examples: &[
        ("nicmon record -- iperf3 -c srv", "record a command, then report"),
        ("ssh host nicmon --json | nicmon replay -", "watch another machine"),
        ("nicmon -i 'eth*' -C 0-3 -d 500ms", "some NICs and CPUs, twice a second"),
        ("nicmon --json -n 10 | jq .nics", "ten frames as JSON"),
        ("nicmon doctor", "what works on this machine"),
    ],
    sections: &[
        KEYS,
        Section {
            title: "Permissions",
            entries: &[
                ("root", "is enough for everything"),
                (
                    "CAP_BPF, CAP_PERFMON",
                    "are needed to measure times: sudo setcap cap_bpf,cap_perfmon+ep nicmon; before Linux \
                     5.8, CAP_SYS_ADMIN",
                ),
                ("CAP_SYS_ADMIN", "adds NICs in other network namespaces, and the cost of the eBPF programs"),
                ("CAP_SYSLOG", "adds the names of kernel functions, and what drivers cost"),
                ("none of them", "leaves counts without times"),
            ],
        },
        Section {
            title: "Exit status",
            entries: &[
                DONE,
                FAILED,
                WRONG,
                ("3", "nicmon compare: a --fail-if claim holds; nicmon diagnose: there are findings"),
                ("4", "nicmon diagnose: it could not be judged"),
                ("other", "nicmon record: the exit status of the recorded command"),
            ],
        },
        ENVIRONMENT,
        Section {
            title: "Files",
            entries: &[
                (
                    "nicmon.rec",
                    "the recording that record writes, and that replay and report read by default",
                ),
                ("nicmon.rec.old", "the recording before it"),
                ("/sys/kernel/btf/vmlinux", "the kernel's type information (BTF); without it, counts only"),
                ("/proc/kallsyms", "names of kernel functions"),
                (
                    "/lib/modules/*/modules.builtin.ranges",
                    "which code belongs to built-in drivers (Linux 6.12)",
                ),
            ],
        },
    ],
};

const RECORD: Notes = Notes {
    examples: &[
        ("nicmon record -- iperf3 -c srv", "into nicmon.rec while iperf3 runs"),
        ("nicmon record -d 100ms -o a.rec", "ten frames a second until Ctrl-C"),
        ("nicmon record --stacks -F 999 -- ./send", "with call stacks, for a flame graph"),
        ("nicmon record -q -- make test && nicmon report", "record quietly, report later"),
    ],
    sections: &[
        Section {
            title: "Exit status",
            entries: &[
                ("that of COMMAND", "if a command was recorded"),
                ("128 + N", "signal N killed the command"),
                ("127, 126", "the command does not exist, or cannot be executed"),
                DONE,
                FAILED,
                WRONG,
            ],
        },
        Section {
            title: "Files",
            entries: &[
                ("nicmon.rec", "the recording, unless -o names another file"),
                ("FILE.old", "the file that FILE was before; -f overwrites it instead"),
            ],
        },
        Section {
            title: "Signals",
            entries: &[
                ("SIGINT", "reaches the command from the terminal; without a command it ends the recording"),
                ("SIGTERM, SIGHUP", "are passed on to the command; without one they end the recording"),
            ],
        },
    ],
};

const DOCTOR: Notes = Notes {
    examples: &[("sudo nicmon doctor", "what root will see"), ("nicmon doctor", "what this user will see")],
    sections: &[Section {
        title: "Exit status",
        entries: &[
            ("0", "nicmon can measure times here"),
            ("1", "it cannot, and shows counts only"),
            ("2", "wrong usage"),
        ],
    }],
};

const REPLAY: Notes = Notes {
    examples: &[
        ("ssh host nicmon --json | nicmon replay -", "watch another machine"),
        ("nicmon replay --speed 4 nicmon.rec", "four times as fast"),
        ("nicmon replay --json a.rec | jq .cpus", "the frames of a recording as JSON"),
    ],
    sections: &[KEYS, EXIT_STATUS, ENVIRONMENT],
};

const REPORT: Notes = Notes {
    examples: &[
        ("nicmon report --from 10s --to 1m a.rec", "50 seconds of a recording"),
        ("nicmon report --json a.rec | jq .drivers", "what drivers cost, as JSON"),
        ("nicmon report --html a.html a.rec", "a page with graphs"),
    ],
    sections: &[EXIT_STATUS],
};

const COMPARE: Notes = Notes {
    examples: &[
        ("nicmon compare 8139.rec virtio.rec", "the main driver of each"),
        ("nicmon compare --driver igb=ixgbe a.rec", "two drivers of one recording"),
        (
            "nicmon compare --fail-if 'cost_per_gb > 1.1' <(cat old*.rec) <(cat new*.rec)",
            "for CI: fail if the new driver costs more than 1.1 times the CPU per GB",
        ),
    ],
    sections: &[Section {
        title: "Exit status",
        entries: &[
            ("0", "done; no --fail-if claim holds"),
            ("1", "something failed, or a claim cannot be judged"),
            WRONG,
            ("3", "a --fail-if claim holds"),
        ],
    }],
};

const DIAGNOSE: Notes = Notes {
    examples: &[
        ("sudo nicmon diagnose", "watch this machine for 10 seconds"),
        ("nicmon diagnose --json a.rec | jq .findings", "the findings of a recording, as JSON"),
    ],
    sections: &[Section {
        title: "Exit status",
        entries: &[
            ("0", "no bottleneck was found; findings of severity info may be listed"),
            FAILED,
            WRONG,
            ("3", "there are findings of severity warning or critical"),
            ("4", "whether a CPU is full of receiving could not be judged"),
        ],
    }],
};

const BRIEF: Notes = Notes {
    examples: &[
        ("sudo nicmon brief", "watch this machine for 10 seconds"),
        ("nicmon brief a.rec", "what a recording says"),
    ],
    sections: &[EXIT_STATUS],
};

const TOPOLOGY: Notes = Notes {
    examples: &[
        ("nicmon topology -i eth0", "queues, interrupts and CPUs of eth0"),
        ("nicmon topology --json | jq .sysctls", "settings as JSON"),
    ],
    sections: &[EXIT_STATUS],
};

const PATH: Notes = Notes {
    examples: &[
        ("nicmon path eth0", "where the packets of eth0 go"),
        ("nicmon path eth0 --for 1m --json | jq .receive", "each stage of the way in as JSON"),
    ],
    sections: &[EXIT_STATUS],
};

const OVERHEAD: Notes = Notes {
    examples: &[
        ("sudo nicmon overhead", "what nicmon adds to a packet here"),
        ("sudo nicmon overhead --cpu 3 --for 3m --json", "more precisely, on CPU 3, as JSON"),
    ],
    sections: &[EXIT_STATUS],
};

const SCHEMA: Notes = Notes {
    examples: &[
        ("nicmon schema --markdown", "every field with its unit and meaning"),
        ("nicmon schema comparison", "JSON Schema of compare --json"),
    ],
    sections: &[EXIT_STATUS],
};

const MAN: Notes = Notes {
    examples: &[
        ("nicmon man | man -l -", "read the manual page"),
        ("nicmon man /usr/local/share/man/man1", "install all of them"),
        ("nicmon man --markdown", "all commands and options on one page"),
    ],
    sections: &[EXIT_STATUS],
};

const COMPLETIONS: Notes = Notes {
    examples: &[
        ("source <(nicmon completions bash)", "bash, for this shell"),
        ("nicmon completions fish | source", "fish, for this shell"),
        ("nicmon completions zsh >/usr/local/share/zsh/site-functions/_nicmon", "zsh, for every new shell"),
    ],
    sections: &[EXIT_STATUS],
};

/// The notes of a command, or of nicmon itself.
pub fn notes(command: &str) -> Notes {
    match command {
        "record" => RECORD,
        "doctor" => DOCTOR,
        "replay" => REPLAY,
        "report" => REPORT,
        "compare" => COMPARE,
        "diagnose" => DIAGNOSE,
        "brief" => BRIEF,
        "topology" => TOPOLOGY,
        "path" => PATH,
        "overhead" => OVERHEAD,
        "schema" => SCHEMA,
        "man" => MAN,
        "completions" => COMPLETIONS,
        _ => ALL,
    }
}

impl Notes {
    /// What stands at the end of `-h`.
    pub(super) fn short_text(&self) -> String {
        // The list of commands takes most of nicmon's own screen.
        let most = if self.sections.len() > MANY_SECTIONS { 1 } else { IN_SUMMARY };
        let examples = &self.examples[..self.examples.len().min(most)];
        let width = examples.iter().map(|(line, _)| line.len()).max().unwrap_or(0);
        let line = |(line, meaning): &Example| format!("\n  {line:<width$}  {meaning}");
        iter::once("Examples:".to_owned()).chain(examples.iter().map(line)).collect()
    }

    /// What stands at the end of `--help`.
    pub(super) fn text(&self) -> String {
        let mut text = "Examples:".to_owned();
        // Writing to a String cannot fail.
        for (line, meaning) in self.examples {
            let _ = write!(text, "\n  {line}\n      {meaning}");
        }
        for section in self.sections {
            let _ = write!(text, "\n\n{}:", section.title);
            for (term, meaning) in section.entries {
                let _ = write!(text, "\n  {}", entry(term, meaning, section.term_width()));
            }
        }
        text
    }
}

impl Section {
    /// Columns of its terms; a longer one has a line of its own.
    fn term_width(&self) -> usize {
        const LONGEST: usize = 22;
        self.entries.iter().map(|(term, _)| term.len()).max().unwrap_or(0).min(LONGEST)
    }
}

/// A term and its meaning in two columns.
fn entry(term: &str, meaning: &str, width: usize) -> String {
    let indent = 2 + width + 2;
    let meaning = wrap(meaning, indent, indent, WIDTH);
    if term.len() > width {
        format!("{term}\n{:indent$}{meaning}", "")
    } else {
        format!("{term:<width$}  {meaning}")
    }
}
