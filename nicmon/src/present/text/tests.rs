use super::*;

/// Characters that could mislead a terminal or a reader, listed independently of the code that replaces them.
fn is_harmful(c: char) -> bool {
    let code = u32::from(c);
    let ranges = [
        (0x00, 0x1f),
        (0x7f, 0x9f),
        (0x061c, 0x061c),
        (0x200b, 0x200f),
        (0x2028, 0x202e),
        (0x2060, 0x206f),
        (0xfeff, 0xfeff),
    ];
    ranges.iter().any(|(first, last)| (*first..=*last).contains(&code))
}

#[test]
fn nothing_harmful_is_printed_whatever_it_is() {
    for c in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
        let text = printable(c.encode_utf8(&mut [0; 4]));
        assert!(!text.contains(is_harmful), "U+{:04x}: {text:?}", u32::from(c));
        let widths: Vec<_> = text.chars().map(|c| c.width().unwrap_or(0)).collect();
        assert!(
            matches!(widths[..], [1..=3]),
            "U+{:04x} is not one visible character: {text:?}",
            u32::from(c)
        );
        assert_eq!(printable(&text), text, "U+{:04x}: a second time changes nothing", u32::from(c));
    }
}

#[test]
fn names_keep_what_is_harmless() {
    assert_eq!(printable("größe-ü漢"), "größe-ü漢");
    assert_eq!(printable("a\u{1b}[31m\u{301}\u{202e}\n"), "a\u{fffd}[31m\u{fffd}\u{fffd}\u{fffd}");
    assert_eq!(printable_lines("a\u{9b}\nb\r\n"), "a\u{fffd}\nb\u{fffd}\n");
}

#[test]
fn percentages_fit() {
    let of = |value: f64| [3, 4, 5, 6].map(|width| pct(value, width));
    assert_eq!(of(0.0), ["0", "0", "0", "0"]);
    assert_eq!(of(0.001), ["0.0", "0.00", "0.00", "0.00"]);
    assert_eq!(of(9.994), ["10", "9.99", "9.99", "9.99"]);
    assert_eq!(of(9.996), ["10", "10.0", "10.00", "10.00"]);
    assert_eq!(of(99.96), ["100", "100", "99.96", "99.96"]);
    assert_eq!(of(6400.0), ["6k", "6400", "6400", "6400.0"]);
    assert_eq!(of(12_345.0), ["12k", "12k", "12345", "12345"]);
    assert_eq!(of(1e300), ["###", "####", "1e300", "1e300"]);
}

#[test]
fn rates_have_three_digits_in_five_columns() {
    let texts = [0.0, 0.4, 3.0, 12.34, 999.4, 999.6, 59_994.0, 1.5e6, 9.999e9, 2e19, 1e25]
        .map(|value| scaled(value, 5));
    assert_eq!(texts, ["0", "0.40", "3", "12.3", "999", "1.00k", "60.0k", "1.50M", "10.0G", "20.0E", "1e25"]);
    assert_eq!([123.4, 999.96, 12_345.0].map(|value| scaled(value, 6)), ["123.4", "1.000k", "12.35k"]);
}

#[test]
fn narrow_columns_show_fewer_digits() {
    let texts = |width| [0.4, 50.4, 999.0, 1234.0, 50_000.0, 500_000.0, 950_000.0].map(|v| scaled(v, width));
    assert_eq!(texts(4), ["0.4", "50", "999", "1.2k", "50k", "500k", "950k"]);
    assert_eq!(texts(3), ["0.4", "50", "999", "1k", "50k", ".5M", ".9M"]);
    assert_eq!(texts(2), [".4", "50", "1k", "1k", "##", "##", "1M"]);
    assert_eq!(texts(1), ["#"; 7]);
}

/// The number that a text shows; `None` if it shows that there is no room.
fn read(text: &str) -> Option<f64> {
    if text.starts_with('#') {
        return None;
    }
    let (number, prefix) =
        text.split_at(text.find(|c: char| c.is_ascii_uppercase() || c == 'k').unwrap_or(text.len()));
    let power = PREFIXES.iter().position(|one| *one == prefix).expect("a prefix");
    let number: f64 = number.parse().expect("a whole number, not a part of one");
    Some(number * 1000_f64.powi(i32::try_from(power).expect("it is small")))
}

#[test]
fn a_figure_of_any_width_has_the_right_magnitude() {
    let tens = (-20..=260).map(|tenth| 10_f64.powf(f64::from(tenth) / 10.0));
    for value in tens.flat_map(|ten| [ten, ten * 1.049_9, ten * 1.1]) {
        for width in 1..=12 {
            for text in [scaled(value, width), whole(value, width), pct(value, width)] {
                assert!(text.len() <= width, "{value} in {width}: {text}");
                let Some(shown) = read(&text) else {
                    assert!(width < 3 || value >= 1e20, "there is room for {value} in {width}: {text}");
                    continue;
                };
                // A figure below 1 may only show that it is below 1.
                let most = if value < 1.0 { 0.5 } else { value * 0.5 };
                assert!((shown - value).abs() <= most, "{value} in {width}: {text}");
            }
            // From five columns on, three digits are correct.
            let text = scaled(value, width);
            let is_off = |shown: f64| (shown - value).abs() > value * 0.005_01;
            let is_wrong = width >= 5 && (1.0..1e20).contains(&value) && read(&text).is_some_and(is_off);
            assert!(!is_wrong, "{value} in {width}: {text}");
        }
    }
}

/// No counter is negative or not a number, but a recording may hold anything.
#[test]
fn odd_numbers_fit_and_keep_their_sign() {
    let all = [1e-9, 0.4, 3.0, 50.0, 999.6, 50_000.0, u64::MAX as f64, 1e25, f64::MAX, f64::MIN_POSITIVE];
    for width in 1..=12 {
        for form in [pct, scaled, whole] {
            for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                assert_eq!(form(odd, width), "?");
            }
            assert_eq!((form(0.0, width), form(-0.0, width)), ("0".to_owned(), "0".to_owned()));
            for value in all {
                let (above, below) = (form(value, width - 1), form(-value, width));
                assert!(below.len() <= width && form(value, width).len() <= width, "{value} in {width}");
                let is_signed = below == format!("-{above}") && !above.is_empty();
                assert!(is_signed || below.chars().all(|c| c == NO_ROOM), "-{value} in {width}: {below}");
            }
        }
    }
    assert_eq!([f64::NAN, f64::INFINITY, 1e300, -1e15].map(digits), ["?", "?", "1.0e300", "-1.0e15"]);
}

#[test]
fn unknown_is_no_number() {
    assert_eq!((plain(None::<u32>), plain(Some(7))), ("?".to_owned(), "7".to_owned()));
    assert_eq!((share(None, 10, 4), share(Some(5), 10, 4)), ("?".to_owned(), "50.0".to_owned()));
}

#[test]
fn numbers_with_their_words() {
    assert_eq!([0, 1, 2].map(|number| plural(number, "frame")), ["0 frames", "1 frame", "2 frames"]);
    assert_eq!([2_248_699, 59_960_000_000].map(seconds), ["0.002", "60.0"]);
    assert_eq!(
        [0.0, 0.001_23, 0.0123, 0.123, 1.23, 12.34, 1234.5].map(digits),
        ["0", "1.2e-3", "0.0123", "0.123", "1.23", "12.3", "1234"]
    );
    assert_eq!(interval([1.0, 2.5], digits), "[1.00, 2.50]");
}
