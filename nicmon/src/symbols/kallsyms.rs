//! The functions in `/proc/kallsyms`, by address.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs::File,
    io::{BufRead, BufReader, Seek as _},
    path::Path,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[cfg(test)]
mod tests;

/// Why kallsyms cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KallsymsError {
    /// The file cannot be read.
    #[error("cannot read /proc/kallsyms: {0}; nicmon needs /proc mounted and a kernel with CONFIG_KALLSYMS")]
    Read(#[from] std::io::Error),
    /// All addresses read as zero.
    #[error(
        "/proc/kallsyms hides its addresses: run nicmon as root or with CAP_SYSLOG, and set \
         kernel.kptr_restrict to 0 or 1"
    )]
    Hidden,
}

/// No function is longer: an address further from a function's start is in no function. This bounds the
/// last function of a module, whose neighbour in the list may belong to another module, pages away.
const LONGEST_FUNCTION: u64 = 1 << 16;

/// No entry of a jump table is longer (`emitJumpTableEntry` in LLVM's `LowerTypeTests.cpp`).
const LONGEST_JUMP: u64 = 16;
/// Ends the name of such an entry.
const JUMP: &str = ".cfi_jt";
/// Starts the name of what Clang puts before each function (kCFI, since 6.1 on x86): the hash of its type,
/// and padding. No function.
const PREAMBLE: &str = "__cfi_";
/// The usual length of a preamble (`FUNCTION_PADDING_CFI` and the hash, arch/x86/Makefile), and the longest:
/// functions may be aligned to 64 bytes.
const PREAMBLE_BYTES: u64 = 16;
const LONGEST_PREAMBLE: u64 = 64;

/// In `modules`, the index of what is linked into the kernel.
const BUILT_IN: u16 = 0;

/// A function: its name, its module and its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function<'a> {
    /// The name, including the compiler's suffixes (`.cold`, `.isra.0`).
    pub name: &'a str,
    /// The module; `bpf` for BPF programs and trampolines, `None` for the kernel itself.
    pub module: Option<&'a str>,
    /// The first byte.
    pub start: u64,
    /// The first byte after it, padding included: where the next symbol starts.
    pub end: u64,
}

/// Functions sorted by address; about 5 MB for 120,000.
#[derive(Debug)]
pub struct Kallsyms {
    starts: Vec<u64>,
    /// Where each function's name starts in `names`; it ends where the next one starts.
    offsets: Vec<u32>,
    names: String,
    /// Each function's module, as an index into `modules`.
    module_of: Vec<u16>,
    /// The first entry stands for the kernel itself.
    modules: Vec<String>,
    /// Entries of the jump tables of Clang's CFI (5.13 to 6.0): address, and the position of the function
    /// that it jumps to. A pointer to a function is the address of such an entry.
    jumps: Vec<(u64, u32)>,
}

/// A line of the file, with the fields of `Kallsyms`, still in the file's order.
struct Entry {
    address: u64,
    name_at: u32,
    name_len: u16,
    module: u16,
}

impl Kallsyms {
    /// Reads the file below a procfs root. Lines are `address type name [module]` (kernel/kallsyms.c:
    /// `s_show`).
    ///
    /// # Errors
    /// The file cannot be read, or hides its addresses.
    pub fn read(proc: &Path) -> Result<Self, KallsymsError> {
        Self::of(&File::open(proc.join("kallsyms"))?)
    }

    /// Reads the open file from its start.
    pub(super) fn of(mut file: &File) -> Result<Self, KallsymsError> {
        file.rewind()?;
        let index = Self::parse(BufReader::with_capacity(1 << 18, file))?;
        if index.starts.is_empty() { Err(KallsymsError::Hidden) } else { Ok(index) }
    }

    /// Reads lines in any order, and skips those without an address.
    fn parse(mut reader: impl BufRead) -> std::io::Result<Self> {
        let mut entries: Vec<Entry> = Vec::with_capacity(1 << 16);
        let mut names = String::with_capacity(1 << 21);
        let mut modules = vec![String::new()];
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            if let Some(Line { address, name, module }) = function(&line)
                && address != 0
                && let Ok(name_at) = u32::try_from(names.len())
                && u32::try_from(names.len() + name.len()).is_ok()
                && let Ok(name_len) = u16::try_from(name.len())
                && let Some(module) = index_of(module, &mut modules)
            {
                names.push_str(name);
                entries.push(Entry { address, name_at, name_len, module });
            }
            line.clear();
        }
        // The sort is stable: if an address has several names, the first in the file stays first.
        entries.sort_by_key(|entry| entry.address);
        let name_of = |entry: &Entry| {
            &names[entry.name_at as usize..entry.name_at as usize + usize::from(entry.name_len)]
        };
        let is_preamble = preambles(&entries, name_of);
        let mut jumps = Vec::new();
        let mut index = Self {
            starts: Vec::with_capacity(entries.len()),
            offsets: Vec::with_capacity(entries.len() + 1),
            names: String::with_capacity(names.len()),
            module_of: Vec::with_capacity(entries.len()),
            modules,
            jumps: Vec::new(),
        };
        for (entry, is_preamble) in entries.iter().zip(is_preamble) {
            let name = name_of(entry);
            match name.strip_suffix(JUMP) {
                Some(target) => jumps.push((entry.address, target, entry.module)),
                None if is_preamble => {}
                None => index.push(entry.address, name, entry.module),
            }
        }
        index.offsets.push(u32::try_from(index.names.len()).unwrap_or(u32::MAX));
        index.add_jumps(&jumps);
        Ok(index)
    }

    /// Notes where the entries of jump tables lead. `jumps` are by address.
    fn add_jumps(&mut self, jumps: &[(u64, &str, u16)]) {
        let wanted: HashSet<(&str, u16)> =
            jumps.iter().map(|(_, target, module)| (*target, *module)).collect();
        let mut positions = HashMap::new();
        for at in 0..if wanted.is_empty() { 0 } else { self.len() } {
            let (name, module) = (self.function(at).name, self.module_of[at]);
            if let Some(target) = wanted.get(&(name, module)) {
                positions.entry(*target).or_insert(at);
            }
        }
        let jump = |(address, target, module): &(u64, &str, u16)| {
            Some((*address, u32::try_from(*positions.get(&(*target, *module))?).ok()?))
        };
        self.jumps = jumps.iter().filter_map(jump).collect();
    }

    /// The position of the function that the entry of a jump table at this address leads to.
    fn jump_at(&self, address: u64) -> Option<usize> {
        let last = self.jumps.partition_point(|(start, _)| *start <= address).checked_sub(1)?;
        let (start, at) = self.jumps[last];
        (address - start < LONGEST_JUMP).then_some(at as usize)
    }

    /// Where the function starts that a pointer leads to, if the pointer is to the entry of a jump table;
    /// else the pointer.
    pub(super) fn target_of(&self, pointer: u64) -> u64 {
        self.jump_at(pointer).map_or(pointer, |at| self.starts[at])
    }

    /// Keeps only the functions that contain these addresses, and where each of them ends.
    #[must_use]
    pub fn only(&self, addresses: impl Iterator<Item = u64>) -> Self {
        let mut kept = BTreeSet::new();
        let mut jumps = BTreeSet::new();
        for address in addresses {
            let Some(at) = self.position(address) else { continue };
            let jump = self.jumps.partition_point(|(start, _)| *start <= address).checked_sub(1);
            jumps.extend(jump.filter(|_| self.jump_at(address).is_some()));
            let start = self.starts[at];
            // A function ends where the next one starts.
            let next = self.starts[at..].iter().position(|other| *other > start).map(|ahead| at + ahead);
            kept.extend([Some(at), next].into_iter().flatten());
        }
        let mut this = Self {
            starts: Vec::new(),
            offsets: Vec::new(),
            names: String::new(),
            module_of: Vec::new(),
            modules: self.modules.clone(),
            jumps: Vec::new(),
        };
        let kept: Vec<usize> = kept.into_iter().collect();
        for &at in &kept {
            this.push(self.starts[at], self.function(at).name, self.module_of[at]);
        }
        let jump = |jump: usize| {
            let (address, target) = self.jumps[jump];
            Some((address, u32::try_from(kept.binary_search(&(target as usize)).ok()?).ok()?))
        };
        this.jumps = jumps.into_iter().filter_map(jump).collect();
        this.offsets.push(u32::try_from(this.names.len()).unwrap_or(u32::MAX));
        this
    }

    fn push(&mut self, start: u64, name: &str, module: u16) {
        self.starts.push(start);
        self.offsets.push(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        self.names.push_str(name);
        self.module_of.push(module);
    }

    /// The function that contains an address. If it has several names, this is the first in the file.
    pub fn function_at(&self, address: u64) -> Option<Function<'_>> {
        self.position(address).map(|at| self.function(at))
    }

    /// Where a function of this name starts; the lowest address if there are several.
    pub fn address_of(&self, name: &str) -> Option<u64> {
        self.functions().find(|function| function.name == name).map(|function| function.start)
    }

    /// All functions by address. A function with several names appears once for each.
    pub fn functions(&self) -> impl DoubleEndedIterator<Item = Function<'_>> + ExactSizeIterator {
        (0..self.starts.len()).map(|at| self.function(at))
    }

    /// The module of this name, if it is loaded and has functions.
    pub fn module(&self, name: &str) -> Option<&str> {
        // The first is the kernel itself, which has no name.
        self.modules.iter().skip(1).map(String::as_str).find(|module| *module == name)
    }

    /// The memory that the index uses, in bytes.
    pub fn bytes(&self) -> usize {
        let modules: usize = self.modules.iter().map(|name| size_of::<String>() + name.capacity()).sum();
        self.starts.capacity() * size_of::<u64>()
            + self.offsets.capacity() * size_of::<u32>()
            + self.names.capacity()
            + self.module_of.capacity() * size_of::<u16>()
            + self.jumps.capacity() * size_of::<(u64, u32)>()
            + modules
    }

    /// The position in the list of the function that contains an address.
    pub(super) fn position(&self, address: u64) -> Option<usize> {
        if let Some(target) = self.jump_at(address) {
            return Some(target);
        }
        let last = self.starts.partition_point(|start| *start <= address).checked_sub(1)?;
        let start = self.starts[last];
        let first =
            self.starts[..last].iter().rposition(|other| *other != start).map_or(0, |before| before + 1);
        (address < self.function(first).end).then_some(first)
    }

    /// The number of functions.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// The function at a position in the list.
    pub(super) fn function(&self, at: usize) -> Function<'_> {
        let start = self.starts[at];
        let longest = start.saturating_add(LONGEST_FUNCTION);
        let next = self.starts[at..].iter().find(|next| **next > start);
        let module = self.module_of[at];
        Function {
            name: &self.names[self.offsets[at] as usize..self.offsets[at + 1] as usize],
            module: (module != BUILT_IN).then(|| self.modules[usize::from(module)].as_str()),
            start,
            end: next.map_or(longest, |next| longest.min(*next)),
        }
    }
}

/// Written as lines of the kernel's own file.
impl Serialize for Kallsyms {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let line = |start: u64, name: &str, suffix: &str, module: Option<&str>| {
            let module = module.map(|module| format!("\t[{module}]")).unwrap_or_default();
            format!("{start:016x} t {name}{suffix}{module}")
        };
        let functions =
            self.functions().map(|function| line(function.start, function.name, "", function.module));
        let jumps = self.jumps.iter().map(|(address, target)| {
            let target = self.function(*target as usize);
            line(*address, target.name, JUMP, target.module)
        });
        serializer.collect_seq(functions.chain(jumps))
    }
}

impl<'de> Deserialize<'de> for Kallsyms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let lines = Vec::<String>::deserialize(deserializer)?;
        Self::parse(lines.join("\n").as_bytes()).map_err(serde::de::Error::custom)
    }
}

/// Which of these entries, sorted by address, are the preambles of the functions after them. Older kernels
/// have functions whose names start like that (`__cfi_slowpath`, `__cfi_check`), but no function follows them
/// so closely.
fn preambles<'a>(entries: &[Entry], name_of: impl Fn(&Entry) -> &'a str) -> Vec<bool> {
    let mut found = vec![false; entries.len()];
    // The entries at the next address.
    let mut next = entries.len()..entries.len();
    for at in (0..entries.len()).rev() {
        let here = entries[at].address;
        if entries.get(at + 1).is_some_and(|after| after.address > here) {
            let last = entries[at + 1..].partition_point(|after| after.address == entries[at + 1].address);
            next = at + 1..at + 1 + last;
        }
        let Some(name) = name_of(&entries[at]).strip_prefix(PREAMBLE) else { continue };
        let Some(first) = entries.get(next.start) else { continue };
        let distance = first.address - here;
        let is_named = || entries[next.clone()].iter().any(|after| name_of(after) == name);
        found[at] = distance <= PREAMBLE_BYTES || distance <= LONGEST_PREAMBLE && is_named();
    }
    found
}

/// The position of a module's name among those seen; `None` beyond 65,535 modules.
fn index_of(module: Option<&str>, modules: &mut Vec<String>) -> Option<u16> {
    let Some(module) = module else { return Some(BUILT_IN) };
    // A module's symbols are next to each other in the file.
    let at = modules.iter().rposition(|known| known == module).unwrap_or_else(|| {
        modules.push(module.to_owned());
        modules.len() - 1
    });
    u16::try_from(at).ok()
}

struct Line<'a> {
    address: u64,
    name: &'a str,
    module: Option<&'a str>,
}

/// Parses a line; `None` if it is not about a function.
fn function(line: &[u8]) -> Option<Line<'_>> {
    let line = std::str::from_utf8(line).ok()?;
    let mut fields = line.split_ascii_whitespace();
    let address = u64::from_str_radix(fields.next()?, 16).ok()?;
    let kind = fields.next()?;
    let name = fields.next()?;
    let module = fields.next().and_then(|module| module.strip_prefix('[')?.strip_suffix(']'));
    // `__pfx_` marks the padding before a function.
    let is_function = matches!(kind, "t" | "T" | "w" | "W") && !name.starts_with("__pfx_");
    is_function.then_some(Line { address, name, module })
}
