//! Words in lines of a width.

/// Joins words to lines of at most `width` columns. Lines after the first start with `indent` spaces, and the
/// first is taken to have `used` columns already.
///
/// A word that is longer than a line has a line of its own.
pub(crate) fn wrap(text: &str, used: usize, indent: usize, width: usize) -> String {
    let mut lines = String::new();
    let mut column = used;
    for (at, word) in text.split_whitespace().enumerate() {
        let length = word.chars().count();
        if at > 0 && column + 1 + length > width {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            column = indent;
        } else if at > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_long_as_they_may_be() {
        assert_eq!(wrap("one two  three", 0, 2, 7), "one two\n  three");
        assert_eq!(wrap("one two", 1, 0, 7), "one\ntwo");
        assert_eq!(wrap("", 3, 2, 7), "");
        assert_eq!(wrap("a incomprehensible b", 0, 0, 5), "a\nincomprehensible\nb");
    }
}
