//! Sums in recordings that are complete, truncated or damaged: other readers do not see them, and damage to
//! them loses no frames.

use std::{fs, ops::Range};

use super::{Part, Parts, SUMMARY_MAGIC, Take};
use crate::{
    frame::{Frame, Merged},
    stream::{
        Writer,
        tests::{json_line, read, recording, small},
    },
};

/// A recording of this many small frames of six seconds, with a sum after every ten. Also returns where each
/// frame and each sum ends.
fn summed_recording(count: u64) -> (Vec<u8>, Vec<Frame>, Vec<usize>, Vec<Range<usize>>) {
    let (mut frames, mut ends, mut sums) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes).expect("a writer");
    for seq in 0..count {
        let frame = Frame { interval_ns: 6_000_000_000, ..small(seq) };
        writer.write(&frame).expect("written");
        frames.push(frame);
    }
    writer.finish().expect("written");
    drop(writer);
    let mut at = 0;
    while at < bytes.len() {
        let size = zstd::zstd_safe::find_frame_compressed_size(&bytes[at..]).expect("a zstd frame");
        if bytes[at..].starts_with(&SUMMARY_MAGIC) {
            sums.push(at..at + size);
        } else {
            ends.push(at + size);
        }
        at += size;
    }
    (bytes, frames, ends, sums)
}

/// How many frames come in sums and one by one, all of them merged into one frame, and the warnings.
fn parts(bytes: &[u8]) -> (u64, u64, Option<Frame>, Vec<String>) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), bytes).expect("it can be written");
    let mut parts = Parts::open(file.path()).expect("it can be read");
    let mut merged = Merged::default();
    let (mut sums, mut single) = (0, 0);
    while let Some(part) = parts.next(|_| Take::Sum).expect("it can be read") {
        match part {
            Part::Frame(frame) => {
                merged.add(&frame);
                single += 1;
            }
            Part::Summary(summary) => {
                merged.add(&summary.frame);
                sums += summary.frames;
            }
        }
    }
    (sums, single, merged.frame(), parts.warnings().to_vec())
}

fn interval_s(frame: Option<&Frame>) -> u64 {
    frame.map_or(0, |frame| frame.interval_ns / 1_000_000_000)
}

#[test]
fn sums_stand_where_nobody_sees_them() {
    let (bytes, frames, _, sums) = summed_recording(32);
    assert_eq!(sums.len(), 3, "and two frames that no sum is worth while");
    let lines: String = frames.iter().map(json_line).collect();
    assert!(zstd::decode_all(&*bytes).expect("zstd") == lines.as_bytes(), "zstdcat shows other lines");
    let (seqs, warning, end) = read(&bytes);
    assert_eq!((seqs, warning), ((0..32).collect(), None));
    assert!(end.is_ok());
    let mut merged = Merged::default();
    for frame in &frames {
        merged.add(frame);
    }
    let (summed, single, frame, warnings) = parts(&bytes);
    assert_eq!((summed, single, warnings), (30, 2, Vec::new()));
    let frame = frame.expect("frames");
    let all = merged.frame().expect("frames");
    assert_eq!((frame.interval_ns, frame.seq, &frame.irqs), (all.interval_ns, 31, &all.irqs));
    assert_eq!(frame.cpus[0].softirq, all.cpus[0].softirq);
    // Also read as a stream, and joined with others.
    let mut joined = bytes.clone();
    joined.extend(recording(3).0);
    joined.extend(&bytes);
    assert_eq!(parts(&joined).0, 60);
    assert_eq!(parts(&joined).1, 7);
    assert_eq!(read(&joined).0.len(), 67);
    assert_eq!(parts(&recording(3).0).1, 3, "a recording without sums");
    assert_eq!(parts(lines.as_bytes()).1, 32, "JSON lines");
}

#[test]
fn cut_in_sums_and_around() {
    let (bytes, _, ends, sums) = summed_recording(20);
    let last = sums[1].clone();
    let before = ends[ends.len() - 2];
    for cut in before..=bytes.len() {
        let is_whole = cut >= last.start;
        let frames = ends.iter().filter(|end| **end <= cut).count() as u64;
        // To a reader, a frame shortly before the cut is the start of the recording.
        let (seqs, warning, _) = read(&bytes[ends[ends.len() - 3]..cut]);
        assert_eq!(*seqs.last().expect("a frame"), frames - 1, "cut at {cut}");
        assert_eq!(warning.is_some(), !is_whole && cut != before, "cut at {cut}: {warning:?}");
        if cut % 41 == 0 || cut > bytes.len() - 50 {
            let (summed, single, frame, warnings) = parts(&bytes[..cut]);
            let expected = if cut == bytes.len() { (20, 0) } else { (10, frames - 10) };
            assert_eq!((summed, single), expected, "cut at {cut}");
            assert_eq!(interval_s(frame.as_ref()), 6 * frames, "cut at {cut}");
            assert_eq!(warnings.len(), usize::from(!is_whole && cut != before), "cut at {cut}: {warnings:?}");
        }
    }
}

#[test]
fn a_damaged_sum_costs_nothing() {
    let (bytes, _, _, sums) = summed_recording(22);
    for sum in &sums {
        let edges = (sum.start..sum.start + 12).chain(sum.end - 40..sum.end);
        for at in edges.chain((sum.start + 12..sum.end - 40).step_by(97)) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x41;
            let (summed, single, frame, warnings) = parts(&damaged);
            assert_eq!(summed + single, 22, "byte {at} of {sum:?}: {warnings:?}");
            assert_eq!(interval_s(frame.as_ref()), 6 * 22, "byte {at} of {sum:?}");
            assert_eq!(read(&damaged).0, (0..22).collect::<Vec<u64>>(), "byte {at} of {sum:?}");
        }
    }
}

#[test]
fn a_damaged_frame_beside_a_sum() {
    let (bytes, _, ends, sums) = summed_recording(13);
    let mut damaged = bytes.clone();
    // The last frame that a sum covers, and the first that none does.
    for frame in [ends[8]..ends[9], sums[0].end..ends[10]] {
        damaged[frame.start + 30] ^= 0x41;
    }
    let (seqs, warning, _) = read(&damaged);
    assert_eq!(seqs, (0..9).chain(11..13).collect::<Vec<u64>>());
    assert!(warning.expect("a warning").contains("in 2 places"), "one place would hide the sum");
    let (summed, single, _, warnings) = parts(&damaged);
    assert_eq!((summed, single), (10, 2));
    assert!(warnings[0].contains("is damaged after 10 frames"), "{warnings:?}");
}

#[test]
fn only_what_is_wanted_is_read() {
    let (bytes, ..) = summed_recording(33);
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), bytes).expect("it can be written");
    let mut parts = Parts::open(file.path()).expect("it can be read");
    let mut wishes = [Take::Nothing, Take::Frames, Take::Sum].into_iter();
    let mut starts = Vec::new();
    let mut seen = Vec::new();
    let mut take = |span: Option<crate::stream::Span>| {
        starts.push(span.expect("times").start_ns);
        wishes.next().expect("three sums")
    };
    while let Some(part) = parts.next(&mut take).expect("it can be read") {
        match part {
            Part::Frame(frame) => seen.push((frame.seq, 1)),
            Part::Summary(summary) => seen.push((summary.frame.seq, summary.frames)),
        }
    }
    let expected: Vec<(u64, u64)> =
        (10..20).map(|seq| (seq, 1)).chain([(29, 10)]).chain((30..33).map(|seq| (seq, 1))).collect();
    assert_eq!(seen, expected);
    assert_eq!(starts.len(), 3);
    assert!(parts.warnings().is_empty());
}

#[test]
fn nothing_wanted_is_no_error() {
    let (bytes, ..) = summed_recording(10);
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), bytes).expect("it can be written");
    let mut parts = Parts::open(file.path()).expect("it can be read");
    assert!(parts.next(|_| Take::Nothing).expect("it can be read").is_none());
}
