//! Quantities: numbers with a unit, written in one canonical form.

/// Gives the canonical form of a quantity, or nothing if it is none.
///
/// The form keeps the kind of its unit (powers of ten, powers of two, exponents), has no fraction, and the largest
/// unit that allows it.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at_checked(end)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let places = i32::try_from(fraction.len()).ok()?;
    match unit(suffix)? {
        Unit::Binary(power) => binary(sign, digits, places, power),
        Unit::Decimal(exponent) => Some(decimal(sign, digits, exponent - places, false)),
        Unit::Exponent(exponent) => Some(decimal(sign, digits, exponent - places, true)),
    }
}

enum Unit {
    Binary(u32),
    Decimal(i32),
    Exponent(i32),
}

const DECIMAL: [(&str, i32); 10] =
    [("E", 18), ("P", 15), ("T", 12), ("G", 9), ("M", 6), ("k", 3), ("", 0), ("m", -3), ("u", -6), ("n", -9)];
const BINARY: [(&str, u32); 7] =
    [("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10), ("", 0)];

fn unit(suffix: &str) -> Option<Unit> {
    if let Some((_, exponent)) = DECIMAL.into_iter().find(|(name, _)| *name == suffix) {
        return Some(Unit::Decimal(exponent));
    }
    if let Some((_, power)) = BINARY.into_iter().find(|(name, _)| *name == suffix) {
        return Some(Unit::Binary(power));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    exponent.parse().ok().map(Unit::Exponent)
}

/// Writes `digits * 10^exponent`; nothing finer than a billionth is kept, it is rounded up.
fn decimal(sign: &str, mut digits: i128, mut exponent: i32, scientific: bool) -> String {
    while exponent < -9 {
        digits = digits.div_euclid(10) + i128::from(digits.rem_euclid(10) != 0);
        exponent += 1;
    }
    if digits == 0 {
        return "0".to_owned();
    }
    while digits % 10 == 0 {
        digits /= 10;
        exponent += 1;
    }
    // The largest multiple of three not above the exponent.
    let floor = exponent.div_euclid(3) * 3;
    let shown = floor.min(18);
    for _ in 0..(exponent - shown) {
        digits = digits.saturating_mul(10);
    }
    if scientific {
        return if shown == 0 { format!("{sign}{digits}") } else { format!("{sign}{digits}e{shown}") };
    }
    let unit = DECIMAL.into_iter().find(|(_, exponent)| *exponent == shown).map_or("", |(name, _)| name);
    format!("{sign}{digits}{unit}")
}

fn binary(sign: &str, digits: i128, places: i32, power: u32) -> Option<String> {
    let scale = 10_i128.checked_pow(u32::try_from(places).ok()?)?;
    let scaled = digits.checked_mul(1_i128.checked_shl(power)?)?;
    if scaled % scale != 0 {
        // A fraction of a byte: written in thousandths and below, as powers of ten.
        let thousandths = scaled.checked_mul(1_000_000_000)?.div_euclid(scale);
        return Some(decimal(sign, thousandths, -9, false));
    }
    let value = scaled / scale;
    if value == 0 {
        return Some("0".to_owned());
    }
    // Below 1024 a unit of two is no longer used.
    let (unit, power) = BINARY.into_iter().find(|(_, power)| value % (1_i128 << power) == 0)?;
    Some(format!("{sign}{}{unit}", value >> power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_written_in_one_form() {
        for (text, expected) in [
            ("0", "0"),
            ("1000m", "1"),
            ("0.5", "500m"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("1500", "1500"),
            ("100000", "100k"),
            ("128974848", "128974848"),
            ("129e6", "129e6"),
            ("1e3", "1e3"),
            ("100m", "100m"),
            ("-1.0", "-1"),
            ("1Ki", "1Ki"),
            ("0.1Gi", "107374182400m"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(expected), "{text}");
        }
        for bad in ["", "x", "1x", "1.2.3", ".", "1e"] {
            assert_eq!(canonical(bad), None, "{bad}");
        }
    }
}
