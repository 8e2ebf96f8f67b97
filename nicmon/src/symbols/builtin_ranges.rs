//! Where the modules linked into the kernel are: `modules.builtin.ranges`, Linux 6.12 and later.

use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
};

use super::Kallsyms;

/// Why the file cannot be used. `scripts/generate_builtin_ranges.awk` in the kernel writes it.
#[derive(Debug, thiserror::Error)]
pub enum BuiltinRangesError {
    /// It cannot be read; usually it does not exist.
    #[error("cannot read modules.builtin.ranges: {0}; install the modules of the running kernel")]
    Read(#[from] io::Error),
    /// A line is neither an anchor nor a range.
    #[error(
        "modules.builtin.ranges, line {0}: neither `section start-end = symbol` nor `section start-end \
         modules`; install the modules of the running kernel again"
    )]
    Line(usize),
    /// The file belongs to another kernel, or kallsyms lacks the symbol that its offsets count from.
    #[error(
        "modules.builtin.ranges refers to `{0}`, which is not in /proc/kallsyms; install the file that \
         belongs to the running kernel"
    )]
    Anchor(String),
}

/// A range of the kernel's text, and the modules whose object files it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltinRange {
    /// The first byte.
    pub start: u64,
    /// The first byte after it.
    pub end: u64,
    /// One module, or all modules that share the object file.
    pub modules: Vec<String>,
}

/// The ranges of the running kernel's text, by address.
#[derive(Debug, Default)]
pub struct BuiltinRanges {
    ranges: Vec<BuiltinRange>,
}

impl BuiltinRanges {
    /// Reads the file from a kernel's module directory, `/lib/modules/<release>`.
    ///
    /// # Errors
    /// The file does not exist (most kernels before 6.12, and many after), cannot be read, or belongs to
    /// another kernel.
    pub fn read(modules: &Path, kallsyms: &Kallsyms) -> Result<Self, BuiltinRangesError> {
        Self::parse(BufReader::new(File::open(modules.join("modules.builtin.ranges"))?), kallsyms)
    }

    /// `.text 00000000-00000000 = _text` is an anchor: the symbol has that offset, and the section's
    /// offsets count from there. `.text 0000baf0-0000cb10 amd_uncore` is a range
    /// (`scripts/generate_builtin_ranges.awk`). Data sections are skipped: their anchors need not be in
    /// kallsyms.
    fn parse(file: impl io::BufRead, kallsyms: &Kallsyms) -> Result<Self, BuiltinRangesError> {
        let mut ranges = Vec::new();
        let mut base: Option<(String, u64)> = None;
        for (at, line) in file.lines().enumerate() {
            let line = line?;
            let bad = || BuiltinRangesError::Line(at + 1);
            let mut fields = line.split_ascii_whitespace();
            let Some(section) = fields.next() else { continue };
            let (start, end) = fields.next().and_then(offsets).ok_or_else(bad)?;
            let names: Vec<&str> = fields.collect();
            if !section.ends_with("text") {
                continue;
            }
            match (names.as_slice(), &base) {
                ([], _) => return Err(bad()),
                (["=", anchor], _) => {
                    let address = kallsyms.address_of(anchor);
                    let address = address.and_then(|address| address.checked_sub(start));
                    let address = address.ok_or_else(|| BuiltinRangesError::Anchor((*anchor).to_owned()))?;
                    base = Some((section.to_owned(), address));
                }
                (modules, Some((of, base))) if of == section => ranges.push(BuiltinRange {
                    start: base.checked_add(start).ok_or_else(bad)?,
                    end: base.checked_add(end).ok_or_else(bad)?,
                    modules: modules.iter().map(|module| (*module).to_owned()).collect(),
                }),
                // Without an anchor, nobody can say where the section is.
                _ => {}
            }
        }
        ranges.sort_by_key(|range| range.start);
        Ok(Self { ranges })
    }

    /// The modules whose text contains an address.
    pub fn modules_at(&self, address: u64) -> &[String] {
        let at = self.ranges.partition_point(|range| range.start <= address);
        let range = at.checked_sub(1).map(|at| &self.ranges[at]).filter(|range| address < range.end);
        range.map_or(&[], |range| &range.modules)
    }

    /// The ranges of a module, including those it shares.
    pub fn of(&self, module: &str) -> impl Iterator<Item = &BuiltinRange> {
        self.ranges.iter().filter(move |range| range.modules.iter().any(|other| other == module))
    }
}

/// `start-end`, in hexadecimal.
fn offsets(field: &str) -> Option<(u64, u64)> {
    let (start, end) = field.split_once('-')?;
    let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
    (start <= end).then_some((start, end))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn kallsyms() -> Kallsyms {
        let folder = tempfile::tempdir().unwrap();
        let text = "ffffffff81000000 T _text\nffffffff83783000 T _sinittext\n";
        std::fs::write(folder.path().join("kallsyms"), text).unwrap();
        Kallsyms::read(folder.path()).unwrap()
    }

    pub(in crate::symbols) fn parse(
        text: &str,
        kallsyms: &Kallsyms,
    ) -> Result<BuiltinRanges, BuiltinRangesError> {
        BuiltinRanges::parse(text.as_bytes(), kallsyms)
    }

    /// From the message of the kernel's commit "kbuild: generate offset range data for builtin modules".
    const EXAMPLE: &str = "\
.text 00000000-00000000 = _text
.text 0000baf0-0000cb10 amd_uncore
.text 0009bd10-0009c8e0 iosf_mbi
.text 008e6660-008e9630 snd_soc_wcd_mbhc
.text 008e9630-008ea610 snd_soc_wcd9335 snd_soc_wcd934x snd_soc_wcd938x
.text 008ea610-008ea780 snd_soc_wcd9335
.data 00000000-00000000 = _sdata
.data 0000f020-0000f680 amd_uncore
";

    #[test]
    fn ranges_count_from_their_anchor() {
        let ranges = parse(EXAMPLE, &kallsyms()).unwrap();
        assert_eq!(ranges.modules_at(0xffff_ffff_8100_baf0), ["amd_uncore"]);
        assert_eq!(ranges.modules_at(0xffff_ffff_8100_cb0f), ["amd_uncore"]);
        assert!(ranges.modules_at(0xffff_ffff_8100_cb10).is_empty());
        assert!(ranges.modules_at(0xffff_ffff_8100_f020).is_empty(), "the same offset, but in .data");
        assert_eq!(ranges.modules_at(0xffff_ffff_818e_9630).len(), 3);
        assert_eq!(ranges.of("snd_soc_wcd9335").count(), 2);
    }

    #[test]
    fn an_anchor_may_come_after_the_start_of_its_section() {
        let text = ".init.text 00000010-00000010 = _sinittext\n.init.text 00000020-00000030 veth\n";
        let ranges = parse(text, &kallsyms()).unwrap();
        assert_eq!(ranges.modules_at(0xffff_ffff_8378_3010), ["veth"]);
    }

    #[test]
    fn a_file_of_another_kernel_or_a_garbled_one_is_an_error() {
        let of = |text: &str| parse(text, &kallsyms()).unwrap_err().to_string();
        assert!(of(".text 00000000-00000000 = _stext\n").contains("`_stext`"));
        assert!(of(".text 00000000-00000000 = _text\n.text veth\n").contains("line 2"));
        assert!(of(".text 00000020-00000010 veth\n").contains("line 1"));
        assert!(of(".text 00000000-00000010\n").contains("line 1"));
        assert!(parse("\n", &kallsyms()).unwrap().ranges.is_empty());
    }

    #[test]
    fn anything_is_read_without_a_panic() {
        let real = b".text 00000000-00000000 = _text\n.text 0000baf0-0000cb10 amd_uncore veth\n\
                     .init.text 00000000-00000000 = _sinittext\n.init.text 00000010-00000020 veth\n";
        let kallsyms = kallsyms();
        testkit::fuzz::inputs("modules.builtin.ranges", &[real], |text| {
            if let Ok(ranges) = BuiltinRanges::parse(text, &kallsyms) {
                let _ = (ranges.modules_at(0xffff_ffff_8100_baf0), ranges.of("veth").count());
            }
        });
    }
}
