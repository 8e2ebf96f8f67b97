//! Lists of CPUs as text.

/// Ascending CPU numbers as the kernel writes them: `0-3,8`.
pub fn cpu_list(cpus: &[u32]) -> String {
    cpus.chunk_by(|one, next| one.checked_add(1) == Some(*next))
        .map(|run| match run {
            [first, .., last] => format!("{first}-{last}"),
            run => run.iter().map(u32::to_string).collect(),
        })
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!(cpu_list(&[]), "");
        assert_eq!(cpu_list(&[7]), "7");
        assert_eq!(cpu_list(&[0, 1, 2, 3, 8]), "0-3,8");
        assert_eq!(cpu_list(&[0, 2, 3, u32::MAX]), "0,2-3,4294967295");
    }
}
