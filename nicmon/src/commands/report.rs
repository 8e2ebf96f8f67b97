//! `nicmon report`: a recording merged into one frame.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use super::{
    Failure,
    failure::shown,
    new_file::{NewFile, Readers},
    output::{json_line, print, print_message},
};
use crate::{
    analyze::{
        html::Page,
        report::{Report, csv},
    },
    cli::{self, Moment},
    frame::{Frame, Merged},
    stream::{Part, Parts, Span, Take},
};

/// The start of every HTML page.
const PAGE: &[u8] = b"<!DOCTYPE html>";

pub(super) fn run(args: &cli::Report) -> Result<(), Failure> {
    if let Some(path) = args.html.as_ref().filter(|path| is_no_page(path)) {
        return Err(Failure::NoPage { path: path.clone() });
    }
    let name = if args.file == Path::new("-") { "standard input".to_owned() } else { shown(&args.file) };
    let mut range = Range { from: args.from, to: args.to, all: None };
    // Times of the two kinds can be compared only when the recording's start is known.
    if let (Some(Moment::After(_)), Some(Moment::After(_))) | (Some(Moment::At(_)), Some(Moment::At(_))) =
        (args.from, args.to)
    {
        range.check()?;
    }
    let mut page = args.html.as_ref().map(|_| Page::default());
    let sum = Sum::read(Parts::open(&args.file)?, &mut range, page.as_mut())?;
    range.check()?;
    let Some(frame) = sum.merged.frame() else { return Err(range.holds_none(&name)) };
    if let (Some(path), Some(page)) = (&args.html, page) {
        let page = page.render();
        if path.as_os_str() == "-" {
            return print(page.as_bytes());
        }
        let written =
            NewFile::create(path, true, Readers::Caller).and_then(|file| file.write_whole(page.as_bytes()));
        return written.map_err(|source| Failure::Page { path: path.clone(), source });
    }
    let text = if args.json {
        json_line(&frame)?
    } else if args.csv {
        csv(&frame).map_err(|error| Failure::Output(io::Error::other(error)))?
    } else {
        sum.text(&name, &frame, usize::try_from(args.top).unwrap_or(usize::MAX))
    };
    print(text.as_bytes())
}

/// The report of a whole recording in this file, with at most `top` rows per table; `None` without frames.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn text_of(name: &str, file: File, top: usize) -> Result<Option<String>, Failure> {
    let mut all = Range { from: None, to: None, all: None };
    let parts = Parts::of_file(name.to_owned(), file)?;
    Ok(Sum::read(parts, &mut all, None)?.report(name, top))
}

/// Whether a file exists that is not an HTML page: most likely a recording, given in the wrong place.
fn is_no_page(path: &Path) -> bool {
    if !fs::metadata(path).is_ok_and(|there| there.is_file() && there.len() > 0) {
        return false;
    }
    let mut begin = Vec::new();
    // It may have become a FIFO meanwhile, which must not block.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let read = opened.and_then(|file| file.take(PAGE.len() as u64).read_to_end(&mut begin));
    read.is_err() || !begin.eq_ignore_ascii_case(PAGE)
}

/// The merged frames of a report.
#[derive(Default)]
pub(super) struct Sum {
    merged: Merged,
    frames: u64,
    /// When the first frame was.
    span: Option<Span>,
}

impl Sum {
    /// Merges the frames in the range, and adds them to the page.
    fn read(mut parts: Parts, range: &mut Range, mut page: Option<&mut Page>) -> Result<Self, Failure> {
        let mut sum = Self::default();
        let has_page = page.is_some();
        while let Some(part) = parts.next(|span| match range.take(span) {
            // The page shows the course of time, which a sum does not have.
            Take::Sum if has_page => Take::Frames,
            take => take,
        })? {
            match part {
                Part::Summary(summary) => sum.add(&summary.frame, summary.span, summary.frames),
                Part::Frame(frame) => {
                    let span = Span::of(&frame);
                    if range.take(span) == Take::Sum {
                        sum.add(&frame, span, 1);
                        if let Some(page) = &mut page {
                            page.add(&frame);
                        }
                    }
                }
            }
        }
        for warning in parts.warnings() {
            print_message(warning);
        }
        Ok(sum)
    }

    /// Adds a frame that is the sum of this number of frames.
    pub(super) fn add(&mut self, frame: &Frame, span: Option<Span>, frames: u64) {
        self.merged.add(frame);
        self.frames += frames;
        self.span = self.span.or(span);
    }

    /// The report as text; `None` without frames.
    pub(super) fn report(&self, name: &str, top: usize) -> Option<String> {
        let frame = self.merged.frame()?;
        Some(self.text(name, &frame, top))
    }

    fn text(&self, name: &str, frame: &Frame, top: usize) -> String {
        let start_ns = self.span.map(|span| span.start_ns);
        let machines = self.merged.machines();
        Report { name, frame, frames: self.frames, start_ns, machines, top }.text()
    }
}

/// The part of a recording that is asked for.
struct Range {
    from: Option<Moment>,
    to: Option<Moment>,
    /// The span of all frames read so far, in the range or not.
    all: Option<Span>,
}

impl Range {
    /// How much of these frames is in the range.
    fn take(&mut self, span: Option<Span>) -> Take {
        self.all = match (self.all, span) {
            (Some(all), Some(span)) => Some(all.with(span)),
            (all, span) => all.or(span),
        };
        let (from, to) = (self.from.map(|from| self.at(from)), self.to.map(|to| self.at(to)));
        let Some(span) = span else {
            // A frame without a time is in no range. A sum without a time may contain frames that have one.
            return if from.is_none() && to.is_none() { Take::Sum } else { Take::Frames };
        };
        let is_in =
            |middle_ns: u64| from.is_none_or(|from| middle_ns >= from) && to.is_none_or(|to| middle_ns < to);
        let Span { first_middle_ns: first, last_middle_ns: last, .. } = span;
        if is_in(first) && is_in(last) {
            Take::Sum
        } else if from.is_some_and(|from| last < from) || to.is_some_and(|to| first >= to) {
            Take::Nothing
        } else {
            Take::Frames
        }
    }

    fn at(&self, moment: Moment) -> u64 {
        match moment {
            Moment::At(ns) => ns,
            Moment::After(after) => {
                let after = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
                self.all.map_or(0, |all| all.start_ns).saturating_add(after)
            }
        }
    }

    /// Checks that the range can hold anything.
    fn check(&self) -> Result<(), Failure> {
        let Some((from, to)) = self.from.zip(self.to) else { return Ok(()) };
        if self.at(from) < self.at(to) {
            return Ok(());
        }
        let text = |moment| match moment {
            Moment::After(after) => humantime::format_duration(after).to_string(),
            Moment::At(ns) => time(ns),
        };
        Err(Failure::SwappedRange { from: text(from), to: text(to) })
    }

    fn holds_none(&self, name: &str) -> Failure {
        let moment = |moment: Option<Moment>, otherwise: &str| {
            moment.map_or_else(|| otherwise.to_owned(), |moment| time(self.at(moment)))
        };
        Failure::EmptyRange {
            name: name.to_owned(),
            from: moment(self.from, "the start"),
            to: moment(self.to, "the end"),
            there: self.all.map_or_else(
                || "at unknown times".to_owned(),
                |all| format!("from {} to {}", time(all.start_ns), time(all.last_middle_ns)),
            ),
        }
    }
}

/// A time in nanoseconds since 1970, in RFC 3339.
fn time(ns: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_nanos(ns)).to_string()
}
