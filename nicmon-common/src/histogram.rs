//! Histograms of times and of packets: how many values fell into which bucket.
//!
//! Buckets are log-linear: values below 8 have one each, and each power of two above is divided into eight.
//! So the middle of a bucket is at most 6.25 % off any value in it.
#![expect(clippy::inline_always, reason = "functions of the kernel object must be inlined")]
#![expect(clippy::cast_possible_truncation, reason = "numbers of buckets are small")]

/// Buckets of times in nanoseconds: up to 2^34, some 17 s.
pub const TIME_BUCKETS: usize = 256;
/// Buckets of packets: up to 1,024.
pub const PACKET_BUCKETS: usize = 64;
/// The bits that choose one of the parts of a power of two.
const PART_BITS: u32 = 3;
const PARTS: u64 = 1 << PART_BITS;

/// Runs, by [`time_bucket`] of their nanoseconds. Counters wrap.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times(pub [u32; TIME_BUCKETS]);

impl Default for Times {
    fn default() -> Self {
        Self([0; TIME_BUCKETS])
    }
}

/// Polls of one NAPI on one CPU, without those in
/// [`CpuState::single_polls`](crate::CpuState::single_polls). Counters wrap.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollHistogram {
    /// How long they took.
    pub times: Times,
    /// By [`packet_bucket`] of the work that they returned.
    pub packets: [u32; PACKET_BUCKETS],
}

/// How the programs and the user side hand histograms of NAPIs to each other, on one CPU, as with
/// [`SlotRings`](crate::SlotRings).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HistogramRing {
    /// Free ones that the user side has put into the ring. Written by the user side.
    pub given: u32,
    /// Those that the softirq programs have taken out.
    pub taken: u32,
}

/// The bucket of a time. The last one has all times beyond it, too.
#[inline(always)]
pub const fn time_bucket(ns: u64) -> usize {
    let ns = at_most(ns, least_of_bucket(TIME_BUCKETS) - 1);
    bucket(ns, highest_bit(ns | PARTS)) & (TIME_BUCKETS - 1)
}

/// The same with branches. eBPF has no instruction that counts zeros, and the thirty that a compiler makes
/// of it take longer than branches that go the same way each time. But the verifier follows both ways of
/// each branch to the end of the program, so this is for the hot path alone.
#[inline(always)]
pub const fn time_bucket_by_branches(ns: u64) -> usize {
    let ns = at_most(ns, least_of_bucket(TIME_BUCKETS) - 1);
    bucket(ns, highest_bit_by_branches(ns | PARTS)) & (TIME_BUCKETS - 1)
}

/// The bucket of a number of packets; the last one has all numbers beyond it, too.
#[inline(always)]
pub const fn packet_bucket(packets: u64) -> usize {
    let packets = at_most(packets, least_of_bucket(PACKET_BUCKETS) - 1);
    bucket(packets, highest_bit(packets | PARTS)) & (PACKET_BUCKETS - 1)
}

/// The value, or `most` if that is less: all bits below some one. Without a branch, since the verifier
/// follows both ways of each to the end of the program. No value here is above 2^63.
#[inline(always)]
const fn at_most(value: u64, most: u64) -> u64 {
    let all_ones_if_above = (most.wrapping_sub(value).cast_signed() >> 63).cast_unsigned();
    (value | all_ones_if_above) & most
}

/// The bucket of a value whose highest bit has this number, or is below 8. The masks above change nothing,
/// but the verifier asks for them.
#[inline(always)]
const fn bucket(value: u64, power: u32) -> usize {
    // How often it can be halved until its power of two is the one that is divided into eight first.
    let halved = power - PART_BITS;
    ((halved as usize) << PART_BITS) + (value >> halved) as usize
}

/// The number of the highest bit of a value that is not 0.
#[inline(always)]
#[expect(clippy::manual_ilog2, reason = "the kernel object must not contain a panic")]
const fn highest_bit(value: u64) -> u32 {
    63 - value.leading_zeros()
}

#[inline(always)]
const fn highest_bit_by_branches(mut value: u64) -> u32 {
    let mut power = 0;
    if value >= 1 << 16 {
        if value >= 1 << 32 {
            value >>= 32;
            power = 32;
        }
        if value >= 1 << 16 {
            value >>= 16;
            power += 16;
        }
    }
    if value >= 1 << 8 {
        value >>= 8;
        power += 8;
    }
    if value >= 1 << 4 {
        value >>= 4;
        power += 4;
    }
    if value >= 1 << 2 {
        value >>= 2;
        power += 2;
    }
    if value >= 1 << 1 { power + 1 } else { power }
}

/// The least value of a bucket.
#[inline(always)]
pub const fn least_of_bucket(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < PARTS {
        return bucket;
    }
    let power = (bucket >> PART_BITS) - 1;
    (PARTS | (bucket & (PARTS - 1))) << power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_in_its_bucket() {
        let mut value: u64 = 1;
        while value < 1 << 33 {
            for value in [value - 1, value, value + 1] {
                let bucket = time_bucket(value);
                assert_eq!(time_bucket_by_branches(value), bucket);
                let (least, next) = (least_of_bucket(bucket), least_of_bucket(bucket + 1));
                assert!(least <= value && value < next, "{value} in {least}..{next}");
                let middle = (least + next - 1) as f64 / 2.0;
                assert!((middle - value as f64).abs() <= 0.0625 * value as f64, "{value}: {middle}");
            }
            value += value / 19 + 1;
        }
    }

    #[test]
    fn buckets_follow_one_another() {
        let mut value = 0;
        for bucket in 0..TIME_BUCKETS {
            assert_eq!(least_of_bucket(bucket), value);
            value = least_of_bucket(bucket + 1);
            assert_eq!(time_bucket(value - 1), bucket);
        }
        assert_eq!(value, 1 << 34);
        assert_eq!(least_of_bucket(PACKET_BUCKETS), 1024);
    }

    #[test]
    fn the_last_bucket_has_what_is_beyond() {
        assert_eq!((time_bucket(1 << 34), time_bucket(u64::MAX >> 1)), (255, 255));
        assert_eq!((packet_bucket(64), packet_bucket(1023), packet_bucket(u64::MAX >> 1)), (32, 63, 63));
    }
}
