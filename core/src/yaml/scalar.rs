//! Plain scalars as `kubectl` resolves them: YAML 1.1 as Go's parser has it.

/// What a plain scalar means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// A number that is no integer within 64 bits; finite.
    Float(f64),
    /// A number that JSON cannot say.
    NonFinite,
    Text,
}

/// Resolves a scalar that stands without quotes and without a tag.
pub(super) fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Scalar::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Scalar::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf"
        | "-.Inf" | "-.INF" => Scalar::NonFinite,
        _ => match text.as_bytes().first() {
            Some(b'.') => float(text),
            Some(b'0'..=b'9' | b'+' | b'-') => number(&text.replace('_', "")),
            _ => Scalar::Text,
        },
    }
}

/// Folds a float that is an integer into one, as Kubernetes does when it reads JSON.
pub(super) fn fold(value: f64) -> Scalar {
    if value.fract() != 0.0 {
        return Scalar::Float(value);
    }
    // Through text on purpose: what Go prints for the float is what Kubernetes reads.
    format!("{value}").parse().map_or(Scalar::Float(value), Scalar::Int)
}

fn number(text: &str) -> Scalar {
    match integer(text) {
        Some(value) => match i64::try_from(value) {
            Ok(value) => Scalar::Int(value),
            // Beyond 64 bits Kubernetes has floats.
            Err(_too_big) => text_float(&value.to_string()),
        },
        None => float(text),
    }
}

/// Reads an integer as Go's `ParseInt` and `ParseUint` do with base 0; `None` when it is none or does not fit.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, digits.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, digits.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let value = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let value = if negative { -value } else { value };
    // Only without a sign may a number use the 64th bit.
    let signed = text.starts_with(['+', '-']);
    (i64::try_from(value).is_ok() || !signed).then_some(value)
}

fn float(text: &str) -> Scalar {
    if is_float(text) { text_float(text) } else { Scalar::Text }
}

fn text_float(text: &str) -> Scalar {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => fold(value),
        // Go refuses a float that overflows, and takes the text.
        Ok(_) | Err(_) => Scalar::Text,
    }
}

/// Tells whether the text has the form `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
fn is_float(text: &str) -> bool {
    fn digits(text: &str) -> (usize, &str) {
        let count = text.bytes().take_while(u8::is_ascii_digit).count();
        (count, text.get(count..).unwrap_or_default())
    }
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest),
        None => (0, rest),
    };
    if whole == 0 && fraction == 0 {
        return false;
    }
    match rest.strip_prefix(['e', 'E']) {
        None => rest.is_empty(),
        Some(rest) => {
            let (count, rest) = digits(rest.strip_prefix(['-', '+']).unwrap_or(rest));
            count > 0 && rest.is_empty()
        }
    }
}
