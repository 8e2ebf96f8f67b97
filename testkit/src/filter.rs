//! A BPF program of somebody else: it lets every packet pass or drops all, after it has wasted some time. Not
//! every machine has a compiler for it, so its object file is made here, instruction by instruction.

use anyhow::{Context as _, Result};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    write::{Object, Symbol, SymbolSection},
};

/// What the program does with packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It lets them pass.
    Pass,
    /// It drops them.
    Drop,
}

impl Verdict {
    /// A program's section, which says what it is for, and what the program returns.
    fn programs(self) -> [(&'static str, i32); 2] {
        const TC_ACT_OK: i32 = 0;
        const TC_ACT_SHOT: i32 = 2;
        const XDP_DROP: i32 = 1;
        const XDP_PASS: i32 = 2;
        match self {
            Self::Pass => [("tc", TC_ACT_OK), ("xdp", XDP_PASS)],
            Self::Drop => [("tc", TC_ACT_SHOT), ("xdp", XDP_DROP)],
        }
    }
}

/// The object file, with the sections `tc` and `xdp`. Each turn of the loop takes about one cycle of a real
/// CPU. The verifier follows them all, and gives up after a million instructions.
///
/// # Errors
/// The file cannot be made.
pub fn object_file(turns: i32, verdict: Verdict) -> Result<Vec<u8>> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    for (section, returned) in verdict.programs() {
        let code = instructions(turns, returned);
        let id = object.add_section(Vec::new(), section.into(), SectionKind::Text);
        object.append_section_data(id, &code, 8);
        object.add_symbol(Symbol {
            name: format!("slow_{section}").into(),
            value: 0,
            size: code.len() as u64,
            kind: SymbolKind::Text,
            scope: SymbolScope::Dynamic,
            weak: false,
            section: SymbolSection::Section(id),
            flags: SymbolFlags::None,
        });
    }
    let license = object.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
    object.append_section_data(license, b"GPL\0", 1);
    object.write().context("cannot make the BPF program")
}

/// Counts to `turns`, then returns `returned`. The encoding is in the kernel's
/// Documentation/bpf/standardization/instruction-set.rst.
fn instructions(turns: i32, returned: i32) -> Vec<u8> {
    const MOVE: u8 = 0xb7;
    const ADD: u8 = 0x07;
    const JUMP_IF_LESS: u8 = 0xa5;
    const EXIT: u8 = 0x95;
    let instruction = |code: u8, register: u8, offset: i16, value: i32| {
        [&[code, register][..], &offset.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    [
        instruction(MOVE, 1, 0, 0),
        instruction(ADD, 1, 0, 1),
        instruction(JUMP_IF_LESS, 1, -2, turns),
        instruction(MOVE, 0, 0, returned),
        instruction(EXIT, 0, 0, 0),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

    use super::*;

    #[test]
    fn each_program_has_a_section_and_a_symbol() {
        let bytes = object_file(1000, Verdict::Drop).unwrap();
        let object = object::File::parse(&*bytes).unwrap();
        for (section, returned) in Verdict::Drop.programs() {
            let code = object.section_by_name(section).unwrap().data().unwrap();
            assert_eq!(code, instructions(1000, returned));
            assert_eq!(code.len(), 5 * 8);
            let name = format!("slow_{section}");
            assert!(object.symbols().any(|symbol| symbol.name() == Ok(&name)), "{name}");
        }
        assert_eq!(object.section_by_name("license").unwrap().data(), Ok(&b"GPL\0"[..]));
    }
}
