//! Reading streams that are complete, truncated, damaged, foreign or of another version.

use std::{
    io::{self, Cursor, Read},
    os::unix::fs::FileExt as _,
    path::Path,
};

use super::{Parts, ReadError, Reader, Take, Writer, reader::counted};
use crate::{frame::Frame, present::json};

/// Three frames of a real machine.
const CAPTURE: &str = include_str!("../../tests/fixtures/stream/this-machine.ndjson");

fn capture() -> Vec<Frame> {
    CAPTURE.lines().map(|line| serde_json::from_str(line).expect("a frame")).collect()
}

/// A small frame, so a test can read many.
pub(super) fn small(seq: u64) -> Frame {
    let mut frame = capture().swap_remove(0);
    frame.cpus.truncate(1);
    frame.nics.truncate(1);
    frame.irqs.clear();
    Frame { seq, ..frame }
}

/// A recording of this many frames, and where each ends.
pub(super) fn recording(count: u64) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    for seq in 0..count {
        let mut writer = Writer::new(&mut bytes).expect("a writer");
        writer.write(&small(seq)).expect("written");
        ends.push(bytes.len());
    }
    (bytes, ends)
}

/// The numbers of the frames read, the warning, and how reading ended.
pub(super) fn read(bytes: &[u8]) -> (Vec<u64>, Option<String>, Result<(), ReadError>) {
    drain(Reader::from_read(Box::new(Cursor::new(bytes.to_vec()))))
}

fn drain(mut reader: Reader) -> (Vec<u64>, Option<String>, Result<(), ReadError>) {
    let mut seqs = Vec::new();
    let end = loop {
        match reader.next() {
            Ok(Some(frame)) => seqs.push(frame.seq),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    assert!(matches!(reader.next(), Ok(None)), "there is nothing after the end");
    (seqs, reader.warning(), end)
}

fn error(bytes: &[u8]) -> String {
    let (seqs, _, end) = read(bytes);
    assert!(seqs.is_empty(), "frames {seqs:?}");
    end.expect_err("it cannot be read").to_string()
}

/// As a stream of lines has it.
pub(super) fn json_line(frame: &Frame) -> String {
    json::line(frame).expect("JSON")
}

#[test]
fn what_was_written_is_read() {
    let frames = capture();
    let mut packed = Vec::new();
    let mut writer = Writer::new(&mut packed).expect("a writer");
    for frame in &frames {
        writer.write(frame).expect("written");
    }
    assert_eq!((writer.frames(), writer.bytes()), (3, packed.len() as u64));
    let plain: String = frames.iter().map(json_line).collect();
    for bytes in [packed, plain.into_bytes()] {
        let mut reader = Reader::from_read(Box::new(Cursor::new(bytes)));
        for frame in &frames {
            assert_eq!(reader.next().expect("read").as_ref(), Some(frame));
        }
        assert_eq!(reader.next().expect("read"), None);
        assert_eq!(reader.warning(), None);
    }
}

#[test]
fn a_pipe_gives_each_frame_at_once() {
    /// Returns one line per read, and none after the second.
    struct Pipe(Vec<Vec<u8>>);
    impl Read for Pipe {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            assert!(!self.0.is_empty(), "the reader waits for more than it needs");
            let line = self.0.remove(0);
            to[..line.len()].copy_from_slice(&line);
            Ok(line.len())
        }
    }
    let lines = || CAPTURE.split_inclusive('\n').map(|line| line.as_bytes().to_vec());
    let (bytes, ends) = recording(2);
    let packed = vec![bytes[..ends[0]].to_vec(), bytes[ends[0]..].to_vec()];
    for pieces in [lines().take(2).collect(), packed] {
        let mut reader = Reader::from_read(Box::new(Pipe(pieces)));
        assert!(reader.next().expect("read").is_some());
        assert!(reader.next().expect("read").is_some());
    }
}

#[test]
fn cut_at_every_byte_of_the_last_64_kilobytes() {
    let (bytes, ends) = recording(200);
    let first = bytes.len() - 64 * 1024;
    for cut in first..=bytes.len() {
        let whole = ends.iter().filter(|end| **end <= cut).count();
        // A recording may start with any frame. Starting shortly before the cut makes this fast.
        let begin = ends[whole - 2];
        let (seqs, warning, end) = read(&bytes[begin..cut]);
        assert_eq!(seqs, [whole as u64 - 1], "cut at {cut}");
        assert!(end.is_ok(), "cut at {cut}");
        let lost = cut - ends[whole - 1];
        let expected = (lost > 0).then(|| {
            let lost = counted(lost as u64, "byte");
            format!("the stream is cut off after 1 frame; skipped {lost} of an incomplete one")
        });
        assert_eq!(warning, expected, "cut at {cut}");
    }
}

#[test]
fn the_whole_recording_cut_here_and_there() {
    let (bytes, ends) = recording(200);
    for cut in (1..bytes.len()).step_by(997) {
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let (seqs, _, end) = read(&bytes[..cut]);
        assert_eq!(seqs.len(), whole, "cut at {cut}");
        assert_eq!(end.is_ok(), whole > 0, "cut at {cut}");
    }
}

#[test]
fn json_lines_cut_at_every_byte() {
    let text: String = (0..3).map(|seq| json_line(&small(seq))).collect();
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    for cut in ends[0]..=text.len() {
        let (seqs, warning, end) = read(&text.as_bytes()[..cut]);
        // Only the line end may be missing.
        assert_eq!(seqs.len(), ends.iter().filter(|end| **end <= cut).count(), "cut at {cut}");
        assert_eq!(
            warning.is_some(),
            !ends.contains(&cut) && !ends.contains(&(cut - 1)),
            "cut at {cut}: {warning:?}"
        );
        assert!(end.is_ok(), "cut at {cut}");
    }
}

#[test]
fn a_damaged_byte_costs_its_frame_alone() {
    let (bytes, ends) = recording(5);
    let all = [0, 1, 2, 3, 4];
    for at in ends[1]..ends[2] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x41;
        let (seqs, warning, end) = read(&damaged);
        assert!(end.is_ok(), "byte {at}");
        // Some bits of a header have no meaning.
        if seqs != all {
            assert_eq!(seqs, [0, 1, 3, 4], "byte {at}");
            let lost = ends[2] - ends[1];
            let expected = format!("the stream is damaged after 2 frames; skipped {lost} bytes");
            assert_eq!(warning, Some(expected), "byte {at}");
        }
    }
}

#[test]
fn what_a_crash_leaves_after_the_end() {
    let (mut bytes, _) = recording(3);
    bytes.extend([0; 5000]);
    let (seqs, warning, _) = read(&bytes);
    assert_eq!(seqs, [0, 1, 2]);
    let expected = "the stream is damaged after 3 frames; skipped 5,000 bytes";
    assert_eq!(warning.as_deref(), Some(expected));
}

#[test]
fn a_damaged_line_of_json_is_skipped() {
    let lines: Vec<&str> = CAPTURE.lines().collect();
    let text = format!("{}\n{}\n\n{}\n", lines[0], &lines[1][..200], lines[2]);
    let (seqs, warning, _) = read(text.as_bytes());
    assert_eq!(seqs, [0, 2]);
    let expected = "the stream is damaged after 1 frame; skipped 201 bytes";
    assert_eq!(warning.as_deref(), Some(expected));
}

#[test]
fn compressed_by_others() {
    let whole = zstd::bulk::compress(CAPTURE.as_bytes(), 3).expect("compressed");
    assert_eq!(read(&whole).0, [0, 1, 2]);
    let (seqs, warning, _) = read(&whole[..whole.len() - 200]);
    assert!(seqs.is_empty() || warning.is_some());
    // The last line has no line end.
    let whole = zstd::bulk::compress(CAPTURE.trim_end().as_bytes(), 3).expect("compressed");
    assert_eq!(read(&whole).0, [0, 1, 2]);
}

#[test]
fn recordings_in_a_row() {
    let (mut bytes, _) = recording(2);
    bytes.extend(recording(3).0);
    assert_eq!(read(&bytes).0, [0, 1, 0, 1, 2]);
}

#[test]
fn what_is_no_recording() {
    let packed = |text: &str| zstd::bulk::compress(text.as_bytes(), 1).expect("compressed");
    let (bytes, ends) = recording(1);
    let second = CAPTURE.lines().next().unwrap_or_default().replacen("frame/1", "frame/2", 1);
    let cases: [(&str, Vec<u8>); 14] = [
        ("nothing", Vec::new()),
        ("text", b"hello\n".to_vec()),
        ("text without an end", b"hello".to_vec()),
        ("binary", vec![0x7f, b'E', b'L', b'F', 0, 1, 2]),
        ("other JSON", b"{\"a\":1}\n".to_vec()),
        ("another schema", b"{\"schema\":\"other/1\"}\n".to_vec()),
        ("a frame without fields", b"{\"schema\":\"nicmon.frame/1\"}\n".to_vec()),
        ("a newer schema", format!("{second}\n").into_bytes()),
        ("a schema without our fields", packed("{\"schema\":\"nicmon.frame/2\",\"x\":1}\n")),
        ("other text, compressed", packed("hello\n")),
        ("one frame, cut", bytes[..ends[0] - 1].to_vec()),
        ("three bytes", bytes[..3].to_vec()),
        ("one line, cut", CAPTURE.as_bytes()[..100].to_vec()),
        ("one frame, damaged", [&bytes[..40], &[0xff; 40], &bytes[80..]].concat()),
    ];
    let seen: Vec<_> = cases.iter().map(|(name, bytes)| format!("{name}: {}\n", error(bytes))).collect();
    insta::assert_snapshot!(seen.concat().replace(env!("CARGO_PKG_VERSION"), "[version]"));
}

#[test]
fn a_newer_schema_after_good_frames() {
    let lines: Vec<&str> = CAPTURE.lines().collect();
    let text = format!("{}\n{}\n", lines[0], lines[1].replacen("frame/1", "frame/2", 1));
    let (seqs, _, end) = read(text.as_bytes());
    assert_eq!(seqs, [0]);
    assert!(matches!(end, Err(ReadError::Newer { .. })));
}

#[test]
fn memory_is_bounded() {
    const LIMIT: usize = 100_000;
    let zeros = zstd::bulk::compress(&vec![0; 50_000_000], 1).expect("compressed");
    let plain = vec![b'x'; 10 * LIMIT];
    for bytes in [zeros, plain] {
        let reader = Reader::new("it".to_owned(), Box::new(Cursor::new(bytes)), LIMIT);
        let (_, _, end) = drain(reader);
        assert!(matches!(end, Err(ReadError::LongLine { limit: LIMIT, .. })), "{end:?}");
    }
}

#[test]
fn fields_that_a_frame_lacks_or_has_too_many() {
    let mut value: serde_json::Value =
        serde_json::from_str(CAPTURE.lines().next().unwrap_or_default()).expect("JSON");
    value["invented"] = serde_json::json!({"by": "a later nicmon"});
    value["nics"][0]["invented"] = 5.into();
    value["nics"][0]["poll_ns"].take();
    for (object, field) in [("host", "drops"), ("self", "overhead_pct")] {
        value[object].as_object_mut().expect("an object").remove(field);
    }
    value["cpus"][0].as_object_mut().expect("an object").remove("softnet");
    let frame =
        Reader::from_read(Box::new(Cursor::new(value.to_string()))).next().expect("read").expect("a frame");
    assert_eq!(frame.host.drops, None);
    assert_eq!(frame.own.overhead_pct, None);
    assert_eq!(frame.cpus[0].softnet, None);
    assert_eq!(frame.nics[0].poll_ns, None);
}

#[test]
fn files_that_cannot_be_read() {
    let Err(missing) = Reader::open(Path::new("/nosuch/a.rec")) else { panic!("there is no such file") };
    assert_eq!(
        missing.to_string(),
        "cannot open /nosuch/a.rec: No such file or directory (os error 2); give a file that `nicmon record` \
         made, or - for standard input"
    );
    let denied = ReadError::Open { name: "a.rec".to_owned(), source: io::ErrorKind::PermissionDenied.into() };
    assert!(denied.to_string().ends_with("use sudo, or change its owner with sudo chown"), "{denied}");
    let directory = drain(Reader::open(Path::new("/")).expect("it opens")).2;
    assert_eq!(
        directory.expect_err("no file").to_string(),
        "cannot read /: Is a directory (os error 21); give another file, or copy it again"
    );
}

/// Recordings and JSON lines that were damaged in any way: an error or what is left, and nothing else.
#[test]
fn anything_is_read_without_a_panic() {
    let mut recording = Vec::new();
    let mut writer = Writer::new(&mut recording).expect("memory");
    for seq in 0..12 {
        writer.write(&small(seq)).expect("memory");
    }
    writer.finish().expect("memory");
    let line = json::line(&small(0)).expect("JSON");
    let short = line.replace("\"nics\":", "\"nothing\":");
    let real: [&[u8]; 3] = [&recording, line.as_bytes(), short.as_bytes()];
    let file = tempfile::tempfile().expect("a file");
    testkit::fuzz::inputs("recording", &real, |bytes| {
        let mut reader = Reader::from_read(Box::new(Cursor::new(bytes.to_vec())));
        while let Ok(Some(_)) = reader.next() {}
        let _ = reader.warning();
        // The sums are found from the end of a file.
        file.set_len(0).and_then(|()| file.write_all_at(bytes, 0)).expect("it can be written");
        let copy = file.try_clone().expect("a descriptor");
        let Ok(mut parts) = Parts::of_file("it".to_owned(), copy) else { return };
        while let Ok(Some(_)) = parts.next(|_| Take::Sum) {}
    });
}
