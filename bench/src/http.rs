//! HTTP over a veth pair: nginx sends files of three sizes, alternately with and without nicmon.

use std::{fs, path::Path, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use testkit::{
    load::VethPair,
    process::{self, Running, output},
};

use crate::{Args, contenders::start_nicmon, estimate::Estimate};

/// Names and bytes of the files.
const FILES: [(&str, usize); 3] = [("1 KB", 1 << 10), ("64 KB", 64 << 10), ("1 MB", 1 << 20)];
const PORT: u16 = 8080;
/// Length of a block, in seconds, and the connections that are open in it.
const BLOCK_S: u32 = 2;
const CONNECTIONS: u32 = 8;

/// What a block measured.
struct Block {
    requests_per_s: f64,
    /// Time that CPUs of the whole machine were not idle, per request.
    cpu_us: f64,
    /// 99 of 100 requests took no longer.
    p99_us: f64,
}

pub(crate) fn measure(args: &Args) -> Result<()> {
    let pair = VethPair::create("nicmon-bench-http")?;
    let files = tempfile::tempdir().context("cannot make a temporary folder")?;
    let _server = serve(&pair, files.path())?;
    println!(
        "HTTP over a veth pair, {CONNECTIONS} connections at full speed: {} pairs of blocks of {BLOCK_S} s \
         with and without nicmon. CPU is that of the whole machine. Changes with their standard errors.",
        args.rounds
    );
    println!("  {:<8}{:>10}{:>20}{:>10}{:>20}{:>10}{:>20}", "", "requests/s", "", "CPU us", "", "p99 us", "");
    for (name, bytes) in FILES {
        run(&pair, bytes)?;
        let mut pairs = Vec::new();
        for round in 1..=args.rounds {
            eprintln!("bench: HTTP, {name}, round {round} of {}", args.rounds);
            pairs.push(both(&pair, bytes, round % 2 == 0, args)?);
        }
        let of = |figure: fn(&Block) -> f64| {
            let without: Vec<f64> = pairs.iter().map(|(without, _)| figure(without)).collect();
            let changes: Vec<f64> =
                pairs.iter().map(|(without, with)| 100.0 * (figure(with) / figure(without) - 1.0)).collect();
            (Estimate::of(&without).value, Estimate::of(&changes))
        };
        let [requests, cpu, p99] =
            [of(|block| block.requests_per_s), of(|block| block.cpu_us), of(|block| block.p99_us)];
        let change = |(_, change): &(f64, Estimate)| format!("{change} %");
        println!(
            "  {name:<8}{:>10.0}{:>20}{:>10.1}{:>20}{:>10.0}{:>20}",
            requests.0,
            change(&requests),
            cpu.0,
            change(&cpu),
            p99.0,
            change(&p99)
        );
    }
    Ok(())
}

/// A block without nicmon and one with it. The order alternates, so that a drift favours neither.
fn both(pair: &VethPair, bytes: usize, nicmon_first: bool, args: &Args) -> Result<(Block, Block)> {
    let with = || -> Result<Block> {
        let (mut nicmon, _) = start_nicmon(&args.nicmon)?;
        let block = run(pair, bytes)?;
        nicmon.stop()?;
        Ok(block)
    };
    if nicmon_first {
        let with = with()?;
        return Ok((run(pair, bytes)?, with));
    }
    let without = run(pair, bytes)?;
    Ok((without, with()?))
}

/// Starts nginx in the receiving namespace, with a folder and a configuration of its own.
fn serve(pair: &VethPair, folder: &Path) -> Result<Running> {
    for (_, bytes) in FILES {
        fs::write(folder.join(bytes.to_string()), vec![b'x'; bytes])?;
    }
    let configuration = folder.join("nginx.conf");
    let at = folder.display();
    fs::write(
        &configuration,
        format!(
            "user root; daemon off; worker_processes 1; pid {at}/pid; error_log {at}/error;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log off; sendfile on; server {{ listen {PORT}; root {at}; }} }}\n"
        ),
    )?;
    let mut command = pair.rx.command("nginx");
    let mut server =
        Running::start(command.arg("-e").arg(folder.join("error")).arg("-c").arg(&configuration))?;
    for _ in 0..100 {
        let is_ended = server.ended()?.is_some();
        let why = || fs::read_to_string(folder.join("error")).unwrap_or_default();
        ensure!(!is_ended, "nginx does not start (package nginx-light): {}", why());
        if folder.join("pid").exists() {
            return Ok(server);
        }
        thread::sleep(Duration::from_millis(50));
    }
    anyhow::bail!("nginx does not write its pid within 5 s")
}

/// Fetches the file of this size for the time of a block.
fn run(pair: &VethPair, bytes: usize) -> Result<Block> {
    process::check_signalled()?;
    let mut command = pair.tx.command("wrk");
    command.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{BLOCK_S}s"), "--latency"]);
    command.arg(format!("http://{}:{PORT}/{bytes}", VethPair::RX_ADDRESS));
    let before = busy_us()?;
    let text = output(&mut command).context("wrk fails (package wrk)")?;
    let busy_us = busy_us()? - before;
    ensure!(!text.contains("Non-2xx"), "nginx refuses: {text}");
    let word = |start: &str| {
        text.lines().find_map(|line| line.trim().strip_prefix(start)).map(str::trim).context("no such line")
    };
    let requests: f64 = text
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "))
        .and_then(|(count, _)| count.parse().ok())
        .with_context(|| format!("wrk does not say how many requests: {text}"))?;
    Ok(Block {
        requests_per_s: word("Requests/sec:")?.parse()?,
        cpu_us: busy_us / requests,
        p99_us: microseconds(word("99%")?)?,
    })
}

/// wrk's way to write a time.
fn microseconds(text: &str) -> Result<f64> {
    for (unit, us) in [("us", 1.0), ("ms", 1e3), ("s", 1e6)] {
        if let Some(number) = text.strip_suffix(unit) {
            return Ok(number.parse::<f64>()? * us);
        }
    }
    anyhow::bail!("{text:?} is no time")
}

/// Time that all CPUs together were not idle since boot, from `/proc/stat`.
fn busy_us() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat")?;
    let all: Vec<f64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|ticks| ticks.parse().ok())
        .collect();
    let [user, nice, system, _, _, irq, softirq, ..] = all[..] else {
        anyhow::bail!("/proc/stat has too few figures")
    };
    let ticks_per_s = rustix::param::clock_ticks_per_second() as f64;
    Ok((user + nice + system + irq + softirq) * 1e6 / ticks_per_s)
}

#[cfg(test)]
mod tests {
    use super::microseconds;

    #[test]
    fn times_of_wrk() {
        let times = ["812.00us", "1.25ms", "2.00s"].map(|text| microseconds(text).ok());
        assert_eq!(times, [Some(812.0), Some(1250.0), Some(2e6)]);
        assert!(microseconds("12").is_err());
    }
}
