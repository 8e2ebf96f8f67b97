//! The running kernel's type information (BTF): offsets of struct members, names of enum values, which
//! functions exist.
//!
//! Format: Documentation/bpf/btf.rst. aya's reader cannot look up members.

use std::{collections::HashMap, path::Path};

/// Where the kernel provides its BTF.
pub const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

const KIND_INT: u32 = 1;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_ENUM64: u32 = 19;

/// Why BTF could not be used.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The file does not exist, or cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The content does not follow the format.
    #[error(
        "cannot understand the kernel's type information in {path} at byte {at}; please report your \
         kernel version"
    )]
    Malformed {
        /// The file.
        path: String,
        /// Byte offset at which reading stopped.
        at: usize,
    },
}

/// A member of a struct.
struct Found {
    /// Offset in bits.
    bits: u32,
    type_id: u32,
    is_bit_field: bool,
}

/// The kernel's types, indexed.
pub struct KernelBtf {
    data: Vec<u8>,
    strings: usize,
    /// Offset in `data` of each type; type 0 is void.
    types: Vec<u32>,
    by_name: HashMap<(u32, Vec<u8>), u32>,
}

/// Kinds and names of the types that can be looked up.
const INDEXED: [(u32, &[&str]); 3] = [
    (
        KIND_STRUCT,
        &["napi_struct", "net_device", "net_device_ops", "net", "irqaction", "sk_buff", "skb_shared_info"],
    ),
    (KIND_ENUM, &["skb_drop_reason"]),
    (KIND_FUNC, &["irqtime_account_irq", "vtime_account_kernel"]),
];

/// Members that are looked at to find one; the largest structs have a few hundred.
const MOST_MEMBERS: u32 = 10_000;
/// Anonymous structs within each other.
const DEPTH: u32 = 16;
/// Typedefs and qualifiers before a type.
const MOST_QUALIFIERS: u32 = 32;

impl KernelBtf {
    /// Reads and indexes the file.
    ///
    /// # Errors
    /// The file cannot be read, or is malformed.
    pub fn read(path: &Path) -> Result<Self, BtfError> {
        let data = std::fs::read(path)
            .map_err(|source| BtfError::Read { path: path.display().to_string(), source })?;
        Self::index(data).map_err(|at| BtfError::Malformed { path: path.display().to_string(), at })
    }

    fn index(data: Vec<u8>) -> Result<Self, usize> {
        if u16_at(&data, 0) != Some(0xeb9f) {
            return Err(0);
        }
        let header = |at| u32_at(&data, at).map(|value| value as usize).ok_or(at);
        let types_start = header(4)? + header(8)?;
        let types_end = types_start + header(12)?;
        let strings = header(4)? + header(16)?;
        let mut btf = Self { data, strings, types: vec![0], by_name: HashMap::new() };
        let mut at = types_start;
        while at < types_end {
            let id = u32::try_from(btf.types.len()).map_err(|_| at)?;
            btf.types.push(u32::try_from(at).map_err(|_| at)?);
            let (kind, count) = btf.kind(at).ok_or(at)?;
            if let Some((_, wanted)) = INDEXED.iter().find(|(indexed, _)| *indexed == kind) {
                let name = btf.name(u32_at(&btf.data, at).ok_or(at)?);
                if wanted.iter().any(|wanted| wanted.as_bytes() == name) {
                    btf.by_name.entry((kind, name.to_vec())).or_insert(id);
                }
            }
            at += 12
                + match kind {
                    KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
                    KIND_ARRAY => 12,
                    KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => count * 12,
                    KIND_ENUM | KIND_FUNC_PROTO => count * 8,
                    _ => 0,
                };
        }
        Ok(btf)
    }

    /// Whether the kernel has this function. It must be one of the indexed names.
    pub fn has_function(&self, name: &str) -> bool {
        self.by_name.contains_key(&(KIND_FUNC, name.into()))
    }

    /// Byte offset of a member; `path` leads through nested structs, as in `("net_device", ["nd_net",
    /// "net"])`. Members of anonymous structs and unions are found as members of the enclosing struct. `None`
    /// if there is no such member, or if it is a bit field.
    pub fn offset(&self, structure: &str, path: &[&str]) -> Option<u32> {
        let mut id = *self.by_name.get(&(KIND_STRUCT, structure.into()))?;
        let mut offset = 0;
        let mut left = MOST_MEMBERS;
        for member in path {
            let (bits, type_id) = self.member(id, member, &mut left, DEPTH)?;
            offset = bits.checked_add(offset)?;
            id = type_id;
        }
        Some(offset / 8)
    }

    /// Byte offset of a member that is one bit, and the number of its bit there.
    pub fn bit(&self, structure: &str, member: &str) -> Option<(u32, u32)> {
        let id = *self.by_name.get(&(KIND_STRUCT, structure.into()))?;
        let mut left = MOST_MEMBERS;
        let Found { bits, .. } = self.find(id, member, &mut left, DEPTH)?;
        let bit = if cfg!(target_endian = "little") { bits % 8 } else { 7 - bits % 8 };
        Some((bits / 8, bit))
    }

    /// The names of an enum's values, by value.
    pub fn enum_values(&self, name: &str) -> Option<HashMap<u32, String>> {
        let at = self.at(*self.by_name.get(&(KIND_ENUM, name.into()))?)?;
        let (_, count) = self.kind(at)?;
        (0..count)
            .map(|index| {
                let value = at + 12 + index * 8;
                let name = String::from_utf8_lossy(self.name(u32_at(&self.data, value)?)).into_owned();
                Some((u32_at(&self.data, value + 4)?, name))
            })
            .collect()
    }

    /// Bit offset and type of a struct member that is no bit field.
    fn member(&self, id: u32, wanted: &str, left: &mut u32, depth: u32) -> Option<(u32, u32)> {
        let Found { bits, type_id, is_bit_field } = self.find(id, wanted, left, depth)?;
        (!is_bit_field && bits % 8 == 0).then_some((bits, type_id))
    }

    /// Finds a struct member. `left` is how many members may still be looked at, and
    /// `depth` how deep: in malformed BTF, structs can contain each other.
    fn find(&self, id: u32, wanted: &str, left: &mut u32, depth: u32) -> Option<Found> {
        let at = self.at(self.plain(id)?)?;
        let (kind, count) = self.kind(at)?;
        if kind != KIND_STRUCT && kind != KIND_UNION {
            return None;
        }
        let has_bitfields = u32_at(&self.data, at + 4)? >> 31 == 1;
        for index in 0..count {
            *left = left.checked_sub(1)?;
            let member = at + 12 + index * 12;
            let type_id = u32_at(&self.data, member + 4)?;
            let raw = u32_at(&self.data, member + 8)?;
            let (bits, bitfield) =
                if has_bitfields { (raw & 0xff_ffff, raw >> 24 != 0) } else { (raw, false) };
            let name = self.name(u32_at(&self.data, member)?);
            if name == wanted.as_bytes() {
                return Some(Found { bits, type_id, is_bit_field: bitfield });
            }
            if name.is_empty()
                && let Some(depth) = depth.checked_sub(1)
                && let Some(inner) = self.find(type_id, wanted, left, depth)
            {
                return Some(Found { bits: bits.checked_add(inner.bits)?, ..inner });
            }
        }
        None
    }

    /// The type behind typedefs and qualifiers.
    fn plain(&self, mut id: u32) -> Option<u32> {
        for _ in 0..MOST_QUALIFIERS {
            let at = self.at(id)?;
            match self.kind(at)?.0 {
                KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST => id = u32_at(&self.data, at + 8)?,
                _ => return Some(id),
            }
        }
        // In malformed BTF, a typedef can lead to itself.
        None
    }

    fn at(&self, id: u32) -> Option<usize> {
        self.types.get(id as usize).map(|at| *at as usize).filter(|at| *at != 0)
    }

    /// Kind and number of members of the type at an offset.
    fn kind(&self, at: usize) -> Option<(u32, usize)> {
        let info = u32_at(&self.data, at + 4)?;
        Some(((info >> 24) & 0x1f, (info & 0xffff) as usize))
    }

    fn name(&self, offset: u32) -> &[u8] {
        let rest = self.data.get(self.strings + offset as usize..).unwrap_or_default();
        rest.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One struct, encoded by hand: `struct net { int a; struct { int x; const long inum; }; int bits:3; }`.
    fn sample() -> Vec<u8> {
        let mut strings = vec![0u8];
        let mut name = |text: &str| {
            let at = u32::try_from(strings.len()).unwrap();
            strings.extend(text.as_bytes());
            strings.push(0);
            at
        };
        let (int, net, a, x, inum, bits) =
            (name("int"), name("net"), name("a"), name("x"), name("inum"), name("bits"));
        let (reasons, consumed) = (name("skb_drop_reason"), name("SKB_CONSUMED"));
        let mut types: Vec<u32> = Vec::new();
        types.extend([int, KIND_INT << 24, 4, 32]); // 1
        types.extend([0, KIND_CONST << 24, 1]); // 2
        types.extend([0, KIND_STRUCT << 24 | 2, 8, x, 1, 0, inum, 2, 32]); // 3
        // 4
        types.extend([net, 1 << 31 | KIND_STRUCT << 24 | 3, 16, a, 1, 0, 0, 3, 64, bits, 1, 3 << 24 | 128]);
        types.extend([reasons, KIND_ENUM << 24 | 1, 4, consumed, 1]); // 5
        let types: Vec<u8> = types.into_iter().flat_map(u32::to_ne_bytes).collect();
        let mut data = Vec::new();
        data.extend(0xeb9f_u16.to_ne_bytes());
        data.extend([1, 0]);
        let lengths = [24, 0, types.len(), types.len(), strings.len()];
        data.extend(lengths.into_iter().flat_map(|value| u32::try_from(value).unwrap().to_ne_bytes()));
        data.extend(types);
        data.extend(strings);
        data
    }

    #[test]
    fn members_of_anonymous_structs_are_found() {
        let btf = KernelBtf::index(sample()).unwrap();
        assert_eq!(btf.offset("net", &["a"]), Some(0));
        assert_eq!(btf.offset("net", &["inum"]), Some(12));
        assert_eq!(btf.offset("net", &["nothing"]), None);
        assert_eq!(btf.offset("net", &["a", "deeper"]), None);
    }

    #[test]
    fn a_bit_field_has_no_offset() {
        assert_eq!(KernelBtf::index(sample()).unwrap().offset("net", &["bits"]), None);
    }

    #[test]
    fn enum_values_have_names() {
        let btf = KernelBtf::index(sample()).unwrap();
        assert_eq!(btf.enum_values("skb_drop_reason").unwrap()[&1], "SKB_CONSUMED");
    }

    #[test]
    fn any_cut_is_an_error_or_fewer_types_never_a_panic() {
        let whole = sample();
        for length in 0..whole.len() {
            if let Ok(btf) = KernelBtf::index(whole[..length].to_vec()) {
                let _ = btf.offset("net", &["inum"]);
                let _ = btf.enum_values("skb_drop_reason");
            }
        }
    }

    /// `struct net { struct net; }` and a constant of itself.
    #[test]
    fn types_that_contain_themselves_end() {
        let sample = |types: &[u32]| {
            let strings = b"\0net\0";
            let types: Vec<u8> = types.iter().flat_map(|word| word.to_ne_bytes()).collect();
            let mut data = 0xeb9f_u16.to_ne_bytes().to_vec();
            data.extend([1, 0]);
            let lengths = [24, 0, types.len(), types.len(), strings.len()];
            data.extend(lengths.into_iter().flat_map(|value| u32::try_from(value).unwrap().to_ne_bytes()));
            data.extend(types);
            data.extend(strings);
            KernelBtf::index(data).unwrap()
        };
        let cyclic = sample(&[1, KIND_STRUCT << 24 | 2, 8, 0, 1, 0, 0, 1, 8]);
        assert_eq!(cyclic.offset("net", &["inum"]), None);
        let constant = sample(&[1, KIND_STRUCT << 24 | 1, 8, 0, 2, 0, 0, KIND_CONST << 24, 2]);
        assert_eq!(constant.offset("net", &["inum"]), None);
    }

    #[test]
    fn anything_is_read_without_a_panic() {
        testkit::fuzz::inputs("BTF", &[&sample()], |data| {
            if let Ok(btf) = KernelBtf::index(data.to_vec()) {
                let _ = (btf.offset("net", &["inum"]), btf.offset("net", &["a", "deeper"]));
                let _ = (btf.enum_values("skb_drop_reason"), btf.has_function("irqtime_account_irq"));
            }
        });
    }
}
