//! Names that the kernel keeps as bytes, saved as text: what is not UTF-8 becomes U+FFFD.

use std::ffi::OsString;

use serde::{Deserialize as _, Deserializer, Serializer};

pub(super) fn serialize<S: Serializer>(name: &OsString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&name.to_string_lossy())
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OsString, D::Error> {
    String::deserialize(deserializer).map(OsString::from)
}
