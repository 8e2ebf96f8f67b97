//! The functions in `/proc/kallsyms`, by address.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

/// Why kallsyms could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KallsymsError {
    /// It cannot be read.
    #[error("cannot read /proc/kallsyms: {0}")]
    Read(#[from] std::io::Error),
    /// All addresses read as zero.
    #[error(
        "/proc/kallsyms hides its addresses: it takes CAP_SYSLOG, and kernel.kptr_restrict below 2, to see them"
    )]
    Hidden,
}

/// A gap after a function's start beyond which an address is taken to be in no known function.
const LONGEST_FUNCTION: u64 = 1 << 16;

/// Functions sorted by address; about 4 MB for 120,000.
#[derive(Debug)]
pub struct Kallsyms {
    starts: Vec<u64>,
    /// Where each function's name begins in `names`; it ends where the next begins.
    offsets: Vec<u32>,
    names: String,
}

impl Kallsyms {
    /// Reads the file below a root of procfs. Lines are `address type name [module]` (kernel/kallsyms.c: `s_show`).
    ///
    /// # Errors
    /// It cannot be read, or hides its addresses.
    pub fn read(proc: &Path) -> Result<Self, KallsymsError> {
        let mut reader = BufReader::with_capacity(1 << 18, File::open(proc.join("kallsyms"))?);
        let mut functions: Vec<(u64, u32, u32)> = Vec::with_capacity(1 << 17);
        let mut names = String::with_capacity(3 << 20);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            if let Some((address, name)) = function(&line)
                && address != 0
                && let Ok(start) = u32::try_from(names.len())
            {
                names.push_str(name);
                functions.push((address, start, u32::try_from(name.len()).unwrap_or(0)));
            }
            line.clear();
        }
        if functions.is_empty() {
            return Err(KallsymsError::Hidden);
        }
        functions.sort_by_key(|(address, ..)| *address);
        // Of several names of one address the first serves.
        functions.dedup_by_key(|(address, ..)| *address);
        let mut index = Self {
            starts: Vec::with_capacity(functions.len()),
            offsets: Vec::with_capacity(functions.len() + 1),
            names: String::with_capacity(names.len()),
        };
        for (address, start, length) in functions {
            index.starts.push(address);
            index.offsets.push(u32::try_from(index.names.len()).unwrap_or(0));
            index.names.push_str(&names[start as usize..(start + length) as usize]);
        }
        index.offsets.push(u32::try_from(index.names.len()).unwrap_or(0));
        Ok(index)
    }

    /// The function that an address is in.
    pub fn function_at(&self, address: u64) -> Option<&str> {
        let at = self.starts.partition_point(|start| *start <= address).checked_sub(1)?;
        if address - self.starts[at] >= LONGEST_FUNCTION {
            return None;
        }
        Some(&self.names[self.offsets[at] as usize..self.offsets[at + 1] as usize])
    }
}

/// Address and name, if the line is of a function.
fn function(line: &[u8]) -> Option<(u64, &str)> {
    let line = std::str::from_utf8(line).ok()?;
    let mut fields = line.split_ascii_whitespace();
    let address = u64::from_str_radix(fields.next()?, 16).ok()?;
    let kind = fields.next()?;
    let name = fields.next()?;
    // `__pfx_` marks the padding before a function.
    (matches!(kind, "t" | "T" | "w" | "W") && !name.starts_with("__pfx_")).then_some((address, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Kallsyms, KallsymsError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("kallsyms"), text).unwrap();
        Kallsyms::read(folder.path())
    }

    #[test]
    fn an_address_is_in_the_function_before_it() {
        let index = read(
            "ffffffff81000100 t veth_xmit\nffffffff81000000 T __pfx_veth_poll\nffffffff81000010 t veth_poll\n\
             ffffffff81000200 D veth_ops\nffffffffc0000000 t cp_rx_poll\t[8139cp]\n",
        )
        .unwrap();
        assert_eq!(index.function_at(0xffff_ffff_8100_0010), Some("veth_poll"));
        assert_eq!(index.function_at(0xffff_ffff_8100_00ff), Some("veth_poll"));
        assert_eq!(index.function_at(0xffff_ffff_8100_0123), Some("veth_xmit"));
        assert_eq!(index.function_at(0xffff_ffff_c000_0001), Some("cp_rx_poll"));
        assert_eq!(index.function_at(0xffff_ffff_9000_0000), None, "far behind any function");
        assert_eq!(index.function_at(1), None);
    }

    #[test]
    fn hidden_addresses_are_an_error() {
        assert!(matches!(read("0000000000000000 T veth_poll\n"), Err(KallsymsError::Hidden)));
        assert!(matches!(read(""), Err(KallsymsError::Hidden)));
    }
}
