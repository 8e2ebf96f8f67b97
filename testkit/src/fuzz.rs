//! Inputs that are almost right, for readers that must survive anything.
//!
//! Real inputs are changed a little: bits flip, parts are cut, repeated or taken from another input, numbers
//! grow. The same name gives the same inputs, so a failure can be repeated.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::{Duration, Instant},
};

/// Inputs in an ordinary test run. `NICMON_FUZZ` sets another number.
const INPUTS: u64 = 10_000;
/// A reader that takes this long for one input hangs, or nearly. Far more than any needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes that memory may grow by over all inputs, whatever runs on other threads meanwhile.
const GROWTH: u64 = 1 << 30;
/// Longest part that is repeated, and longest input, in bytes.
const LONGEST: (usize, usize) = (4096, 256 * 1024);
/// Numbers that programs get wrong.
const NUMBERS: [&str; 12] = [
    "0",
    "-1",
    "1e999",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
    "ffffffffffffffff",
    "0x",
    "NaN",
];

/// Gives a reader many inputs made from these real ones.
///
/// # Panics
/// The reader panicked, took very long, or memory grew without bound. The message has the input.
pub fn inputs(name: &str, real: &[&[u8]], mut reader: impl FnMut(&[u8])) {
    let count = std::env::var("NICMON_FUZZ").ok().and_then(|count| count.parse().ok()).unwrap_or(INPUTS);
    let before = peak_bytes();
    let start = Instant::now();
    for seed in 0..count {
        let input = input(name, seed, real);
        let begun = Instant::now();
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| reader(&input))) {
            eprintln!("{name}: input {seed} panics: {}", input.escape_ascii());
            resume_unwind(cause);
        }
        let took = begun.elapsed();
        assert!(took < PATIENCE, "{name}: input {seed} took {took:?}: {}", input.escape_ascii());
    }
    let growth = peak_bytes().saturating_sub(before);
    assert!(growth < GROWTH, "{name}: memory grew by {growth} bytes");
    println!("{name}: {count} inputs in {:.1} s, {growth} bytes more", start.elapsed().as_secs_f64());
}

/// The input of this number.
fn input(name: &str, seed: u64, real: &[&[u8]]) -> Vec<u8> {
    let of_name = name.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut random = fastrand::Rng::with_seed(of_name.wrapping_mul(0x9e37_79b9).wrapping_add(seed));
    let mut input = random.choice(real).map_or_else(Vec::new, |real| real.to_vec());
    for _ in 0..random.u32(1..=8) {
        change(&mut input, &mut random, real);
    }
    input.truncate(LONGEST.1);
    input
}

fn change(input: &mut Vec<u8>, random: &mut fastrand::Rng, real: &[&[u8]]) {
    let at = random.usize(0..=input.len());
    let some = |random: &mut fastrand::Rng, length: usize| random.usize(0..=length.min(LONGEST.0));
    match random.u32(0..9) {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.u32(0..8);
            }
        }
        1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = random.choice(b"\0\n\r\t :-=[]{}\",0\x7f\x80\xc3\xff".iter().copied()).unwrap_or(0);
            }
        }
        2 => input.truncate(at),
        3 => {
            let end = at + some(random, input.len() - at);
            input.drain(at..end);
        }
        4 => {
            let part = input[at..at + some(random, input.len() - at)].to_vec();
            let times = random.usize(1..=4);
            input.splice(at..at, part.repeat(times));
        }
        5 => {
            let other = random.choice(real).copied().unwrap_or_default();
            let from = random.usize(0..=other.len());
            let end = from + some(random, other.len() - from);
            input.splice(at..at, other[from..end].iter().copied());
        }
        // A number in text becomes another.
        6 => {
            let begin =
                input[..at].iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |before| before + 1);
            let end = input[at..]
                .iter()
                .position(|byte| !byte.is_ascii_digit())
                .map_or(input.len(), |end| at + end);
            let number = random.choice(NUMBERS).unwrap_or_default();
            input.splice(begin..end, number.bytes());
        }
        // A number in a structure becomes another.
        7 => {
            let any = random.u32(..);
            let number = random.choice([0, 1, u32::MAX, 1 << 31, 0xffff, any]).unwrap_or(0);
            for (byte, new) in input.iter_mut().skip(at & !3).zip(number.to_ne_bytes()) {
                *byte = new;
            }
        }
        _ => input.insert(at, random.u8(..)),
    }
}

/// The most memory that this process has used so far, in bytes.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_ascii_whitespace().next());
    kilobytes.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_differ_and_can_be_repeated() {
        let real: [&[u8]; 2] = [b"cpu0 17 4 9\n", b"cpu1 1 2 3\n"];
        let all: Vec<Vec<u8>> = (0..1000).map(|seed| input("stat", seed, &real)).collect();
        let again: Vec<Vec<u8>> = (0..1000).map(|seed| input("stat", seed, &real)).collect();
        assert_eq!(all, again);
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert!(distinct.len() > 900, "{}", distinct.len());
        assert!(all.iter().any(|input| input.starts_with(b"cpu")));
    }

    #[test]
    fn a_panic_is_found() {
        let found = catch_unwind(|| {
            inputs("found", &[b"12345678"], |input| assert!(!input.contains(&0xff), "the fault"));
        });
        assert!(found.is_err());
    }
}
