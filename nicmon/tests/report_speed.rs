//! How quickly, and in how much memory, `nicmon report` summarises a long recording of a large machine.

use std::{
    fs::File,
    io,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use nicmon::{
    frame::{Frame, Irq, IrqCpu, Napi, NapiCpu, NapiMode, Nic, NicCounters, NicCpu},
    stream::Writer,
};

const NICMON: &str = env!("CARGO_BIN_EXE_nicmon");
/// Frames of a real machine.
const CAPTURE: &str = include_str!("fixtures/frames/demo-rps.ndjson");

/// A machine whose NICs have a queue and an interrupt on each CPU, all of them busy.
struct Machine {
    template: Frame,
    cpus: u32,
    nics: u32,
    /// The same in every run.
    numbers: fastrand::Rng,
}

impl Machine {
    fn new(cpus: u32, nics: u32) -> Self {
        let template = serde_json::from_str(CAPTURE.lines().next().unwrap_or_default()).expect("a frame");
        Self { template, cpus, nics, numbers: fastrand::Rng::with_seed(42) }
    }

    fn frame(&mut self, seq: u64) -> Frame {
        let mut frame = self.template.clone();
        frame.seq = seq;
        frame.interval_ns = 1_000_000_000;
        let end = humantime::parse_rfc3339(&frame.time).expect("a time") + Duration::from_secs(seq);
        frame.time = humantime::format_rfc3339_micros(end).to_string();
        let cpu = frame.cpus.swap_remove(0);
        frame.cpus = (0..self.cpus).map(|number| nicmon::frame::Cpu { cpu: number, ..cpu.clone() }).collect();
        let nic = frame.nics.swap_remove(0);
        frame.nics = (0..self.nics).map(|number| self.nic(&nic, number)).collect();
        frame.irqs = frame.nics.iter().enumerate().flat_map(|(at, nic)| irqs(at, nic)).collect();
        frame
    }

    fn nic(&mut self, like: &Nic, number: u32) -> Nic {
        let rows: Vec<NapiCpu> = (0..self.cpus)
            .map(|cpu| {
                let polls = 1000 + self.numbers.u64(..60_000);
                let poll_ns = Some(polls * (800 + self.numbers.u64(..500)) + self.numbers.u64(..1000));
                NapiCpu {
                    cpu,
                    poll_ns,
                    polls: Some(polls),
                    work: Some(polls * 3),
                    repolls: Some(polls / 7),
                    ..NapiCpu::default()
                }
            })
            .collect();
        let cpus = rows.iter().map(|row| NicCpu {
            cpu: row.cpu,
            poll_ns: row.poll_ns,
            hardirq_ns: Some(1000 + self.numbers.u64(..10_000_000)),
            polls: row.polls,
            work: row.work,
            repolls: row.repolls,
            load_pct: row.poll_ns.map(|ns| ns as f64 / 1e7),
            ..NicCpu::default()
        });
        let cpus: Vec<NicCpu> = cpus.collect();
        let napis = rows.into_iter().map(|row| Napi {
            napi_id: 1000 * (number + 1) + row.cpu,
            poll_fn: Some("mlx5e_napi_poll".to_owned()),
            queue: Some(row.cpu),
            kind: None,
            mode: NapiMode::Softirq,
            cpus: vec![row],
        });
        Nic {
            name: format!("eth{number}"),
            ifindex: number + 2,
            counters: NicCounters {
                rx_packets: Some(self.numbers.u64(..10_000_000)),
                ..like.counters.clone()
            },
            napis: Some(napis.collect()),
            cpus,
            ..like.clone()
        }
    }

    fn record(&mut self, path: &Path, frames: u64) -> io::Result<u64> {
        let mut writer = Writer::new(File::create(path)?)?;
        for seq in 0..frames {
            writer.write(&self.frame(seq))?;
        }
        writer.finish()?;
        Ok(writer.bytes())
    }

    /// Bytes per NIC, CPU and frame.
    fn cell_bytes(&self, bytes: u64, frames: u64) -> f64 {
        bytes as f64 / (u64::from(self.cpus) * u64::from(self.nics) * frames) as f64
    }
}

/// One interrupt per queue.
fn irqs(number: usize, nic: &Nic) -> Vec<Irq> {
    let irq = |row: &NicCpu| Irq {
        irq: 1000 * u32::try_from(number).unwrap_or(0) + row.cpu,
        action: format!("mlx5_comp{}@pci:0000:{number:02x}:00.0", row.cpu),
        nic: Some(nic.name.clone()),
        queue: Some(row.cpu),
        threaded: Some(false),
        cpus: vec![IrqCpu {
            cpu: row.cpu,
            count: row.polls,
            ns: row.hardirq_ns,
            max_ns: Some(9000),
            ..IrqCpu::default()
        }],
    };
    nic.cpus.iter().map(irq).collect()
}

/// Runs `nicmon report` in an address space of 200 MB.
fn report(file: &Path, input: Stdio) -> (Duration, Output) {
    let start = Instant::now();
    let output = Command::new("sh")
        .args(["-c", "ulimit -v 204800 && exec \"$0\" report --json \"$1\"", NICMON])
        .arg(file)
        .stdin(input)
        .output()
        .expect("sh starts");
    let took = start.elapsed();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (took, output)
}

/// Compares two reports on the same recording, with sums and frame by frame, since the machine may be
/// busy.
#[test]
fn sums_make_a_report_at_least_five_times_as_fast() {
    const FRAMES: u64 = 120;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("large.rec");
    let mut machine = Machine::new(64, 8);
    let bytes = machine.record(&path, FRAMES).expect("recorded");
    let cell = machine.cell_bytes(bytes, FRAMES);
    assert!(cell < 100.0, "{cell:.1} bytes per NIC, CPU and frame");
    // Three runs, because other load can only make one slower.
    let reports = [0; 3].map(|_| report(&path, Stdio::null()));
    let (with_sums, sums) = reports.into_iter().min_by_key(|(took, _)| *took).expect("three");
    // A pipe cannot be searched for sums.
    let mut cat = Command::new("cat").arg(&path).stdout(Stdio::piped()).spawn().expect("cat starts");
    let input = cat.stdout.take().expect("a pipe");
    let (one_by_one, frames) = report(Path::new("-"), input.into());
    assert!(cat.wait().expect("cat ends").success());
    let frame = |output: &Output| serde_json::from_slice::<Frame>(&output.stdout).expect("a frame");
    let (sums, frames) = (frame(&sums), frame(&frames));
    assert_eq!(sums.interval_ns, FRAMES * 1_000_000_000);
    assert_eq!((&sums.irqs, &sums.nics[0].napis), (&frames.irqs, &frames.nics[0].napis));
    // 2 sums instead of 120 frames.
    let ratio = one_by_one.as_secs_f64() / with_sums.as_secs_f64();
    println!("{with_sums:?} with sums, {one_by_one:?} without");
    assert!(ratio > 5.0, "{with_sums:?} with sums, {one_by_one:?} without");
}

/// `cargo test --release --test report_speed -- --ignored --nocapture` takes some minutes, and 1.3 GB in
/// the directory for temporary files.
#[test]
#[ignore = "takes minutes, and 1.3 GB"]
fn an_hour_of_256_cpus_and_16_nics() {
    const FRAMES: u64 = 3600;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("hour.rec");
    let mut machine = Machine::new(256, 16);
    let start = Instant::now();
    let bytes = machine.record(&path, FRAMES).expect("recorded");
    let cell = machine.cell_bytes(bytes, FRAMES);
    println!("written in {:?}: {bytes} bytes, {cell:.1} per NIC, CPU and frame", start.elapsed());
    assert!(cell < 100.0, "{cell:.1} bytes");
    for _ in 0..3 {
        let (took, _) = report(&path, Stdio::null());
        println!("reported in {took:?}, within 200 MB of address space");
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
    // Without its last sum, as after SIGKILL, the report reads the frames of up to a minute.
    let file = File::options().write(true).open(&path).expect("the recording");
    file.set_len(bytes - 100).expect("it can be cut");
    let (took, _) = report(&path, Stdio::null());
    println!("cut, reported in {took:?}");
}
