//! All counters of IP, ICMP, UDP and TCP in a network namespace, by the names that `nstat` gives them.

use std::{collections::BTreeMap, io, path::Path};

use super::netns::Netns;

/// Counters since the namespace was created: `IpInReceives`, `UdpRcvbufErrors`, `Ip6InReceives`.
pub type IpStatistics = BTreeMap<String, u64>;

/// Reads `net/snmp`, `net/netstat` and `net/snmp6` of the own namespace. A file that does not
/// exist, as `snmp6` without IPv6, has no counters.
///
/// # Errors
/// A file exists and cannot be read.
pub fn ip_statistics(proc: &Path) -> io::Result<IpStatistics> {
    let mut all = IpStatistics::new();
    for file in ["snmp", "netstat"] {
        all.extend(in_two_lines(&Netns::Own.read(proc, file)?));
    }
    all.extend(in_columns(&Netns::Own.read(proc, "snmp6")?));
    Ok(all)
}

/// Pairs of lines that begin with the protocol: names, and values (`net/ipv4/proc.c`).
fn in_two_lines(text: &str) -> Vec<(String, u64)> {
    let lines: Vec<&str> = text.lines().collect();
    let (pairs, _) = lines.as_chunks::<2>();
    pairs.iter().filter_map(|[names, values]| of_protocol(names, values)).flatten().collect()
}

fn of_protocol(names: &str, values: &str) -> Option<Vec<(String, u64)>> {
    let (protocol, names) = names.split_once(':')?;
    let values = values.strip_prefix(protocol)?.strip_prefix(':')?;
    let columns = names.split_ascii_whitespace().zip(values.split_ascii_whitespace());
    // Some are no counters, and may be negative.
    let counter = |(name, value): (&str, &str)| Some((format!("{protocol}{name}"), value.parse().ok()?));
    Some(columns.filter_map(counter).collect())
}

/// A name and a value in each line (`net/ipv6/proc.c`).
fn in_columns(text: &str) -> impl Iterator<Item = (String, u64)> {
    text.lines().filter_map(|line| {
        let (name, value) = line.split_once(|c: char| c.is_ascii_whitespace())?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::testing::this_machine, *};

    #[test]
    fn of_this_machine() {
        let net = this_machine().join("proc/net");
        let read = |file: &str| fs::read_to_string(net.join(file)).unwrap();
        let all: IpStatistics =
            [in_two_lines(&read("snmp")), in_two_lines(&read("netstat"))].into_iter().flatten().collect();
        assert_eq!(all.get("IpInReceives"), Some(&11_795));
        assert_eq!((all.get("UdpRcvbufErrors"), all.get("TcpExtListenDrops")), (Some(&0), Some(&0)));
        assert_eq!(in_columns("Ip6InReceives \t 7\nbad\nIp6X -1\n").collect::<Vec<_>>().len(), 1);
        assert_eq!(in_two_lines("Udp: RcvbufErrors\nTcp: 1\n"), []);
    }

    #[test]
    fn here() {
        let all = ip_statistics(Path::new("/proc")).unwrap();
        assert!(all.contains_key("IpInReceives") && all.contains_key("UdpInDatagrams"));
    }

    #[test]
    fn anything_is_read_without_a_panic() {
        let net = this_machine().join("proc/net");
        let real = ["snmp", "netstat"].map(|file| fs::read(net.join(file)).unwrap());
        testkit::fuzz::inputs("ip_statistics", &[&real[0], &real[1]], |text| {
            let text = String::from_utf8_lossy(text);
            std::hint::black_box((in_two_lines(&text), in_columns(&text).count()));
        });
    }
}
