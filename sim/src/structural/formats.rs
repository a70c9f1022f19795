//! The formats of strings.
//!
//! Formats that no configuration is known to use (`isbn`, `creditcard`, `ssn`, `rgbcolor`, `bsonobjectid`,
//! `email`, `uri` beyond its scheme) are known but accept more than the API server does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// True if the API server knows the format of a string.
pub(super) fn is_known(format: &str) -> bool {
    matches!(
        normal(format).as_str(),
        "bsonobjectid"
            | "uri"
            | "email"
            | "hostname"
            | "ipv4"
            | "ipv6"
            | "cidr"
            | "mac"
            | "uuid"
            | "uuid3"
            | "uuid4"
            | "uuid5"
            | "isbn"
            | "isbn10"
            | "isbn13"
            | "creditcard"
            | "ssn"
            | "hexcolor"
            | "rgbcolor"
            | "byte"
            | "password"
            | "date"
            | "duration"
            | "datetime"
            | "k8sshortname"
            | "k8slongname"
    )
}

/// True if a string is of the format.
pub(super) fn is_valid(format: &str, text: &str) -> bool {
    match normal(format).as_str() {
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.contains(':') && text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => is_mac(text),
        "uuid" => is_uuid(text, None),
        "uuid3" => is_uuid(text, Some('3')),
        "uuid4" => is_uuid(text, Some('4')),
        "uuid5" => is_uuid(text, Some('5')),
        "hexcolor" => is_hex_color(text),
        "byte" => is_base64(text),
        "date" => is_date(text),
        "datetime" => is_date_time(text),
        "duration" => is_duration(text),
        "hostname" => is_hostname(text),
        "email" => text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty()),
        "uri" => text.starts_with('/') || text.split_once(':').is_some_and(|(scheme, _)| is_scheme(scheme)),
        "k8sshortname" => text.len() <= 63 && is_label(text, false),
        "k8slongname" => text.len() <= 253 && text.split('.').all(|label| is_label(label, false)),
        _ => true,
    }
}

fn normal(format: &str) -> String {
    format.replace('-', "")
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let digits = !bits.is_empty() && bits.chars().all(|char| char.is_ascii_digit());
    match (address.parse(), bits.parse::<u8>()) {
        (Ok(IpAddr::V4(_)), Ok(bits)) => digits && bits <= 32,
        (Ok(IpAddr::V6(_)), Ok(bits)) => digits && bits <= 128,
        (Err(_), _) | (_, Err(_)) => false,
    }
}

fn is_mac(text: &str) -> bool {
    let is_hex =
        |part: &str, size: usize| part.len() == size && part.chars().all(|char| char.is_ascii_hexdigit());
    let by = |separator: char, size: usize, counts: [usize; 3]| {
        let parts: Vec<_> = text.split(separator).collect();
        counts.contains(&parts.len()) && parts.iter().all(|part| is_hex(part, size))
    };
    by(':', 2, [6, 8, 20]) || by('-', 2, [6, 8, 20]) || by('.', 4, [3, 4, 10])
}

fn is_uuid(text: &str, version: Option<char>) -> bool {
    let hex: String = text.chars().filter(|char| *char != '-').collect();
    let places = [8, 13, 18, 23];
    let dashes = text.char_indices().filter(|(_, char)| *char == '-');
    let dashes_fit = match text.len() {
        36 => dashes.map(|(at, _)| at).eq(places),
        // Each dash may be left out; which ones are there does not matter then.
        _ => true,
    };
    let variant = |char: char| matches!(char.to_ascii_lowercase(), '8' | '9' | 'a' | 'b');
    hex.len() == 32
        && hex.chars().all(|char| char.is_ascii_hexdigit())
        && dashes_fit
        && version.is_none_or(|version| {
            hex.chars().nth(12) == Some(version)
                && (version == '3' || hex.chars().nth(16).is_some_and(variant))
        })
}

fn is_hex_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or(text);
    matches!(digits.len(), 3 | 6) && digits.chars().all(|char| char.is_ascii_hexdigit())
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let alphabet = |char: char| char.is_ascii_alphanumeric() || matches!(char, '+' | '/');
    !text.is_empty()
        && text.len().is_multiple_of(4)
        && text.len() - body.len() <= 2
        && body.chars().all(alphabet)
}

fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut number = |size: usize| {
        parts
            .next()
            .filter(|part| part.len() == size && part.chars().all(|char| char.is_ascii_digit()))
            .and_then(|part| part.parse::<u32>().ok())
    };
    let (Some(year), Some(month), Some(day)) = (number(4), number(2), number(2)) else { return false };
    let leap = (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    parts.next().is_none() && (1..=days).contains(&day)
}

fn is_date_time(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let Some((date, rest)) = lower.split_once('t') else { return false };
    let at = rest.find(['z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(at);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let in_range = |text: &str, limits: &[u32]| {
        let parts: Vec<_> = text.split(':').collect();
        parts.len() == limits.len()
            && parts.iter().zip(limits).all(|(part, limit)| {
                part.len() == 2
                    && part.chars().all(|char| char.is_ascii_digit())
                    && part.parse::<u32>().is_ok_and(|value| value <= *limit)
            })
    };
    let zone_fits = match zone.strip_prefix(['+', '-']) {
        Some(offset) => in_range(offset, &[23, 59]),
        None => zone == "z",
    };
    let digits = !fraction.is_empty() && fraction.chars().all(|char| char.is_ascii_digit());
    is_date(date) && in_range(time, &[23, 59, 59]) && digits && zone_fits
}

fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 23] = [
        "ns", "us", "µs", "μs", "ms", "s", "m", "h", "d", "w", "nanos", "micros", "millis", "sec", "secs",
        "second", "seconds", "min", "mins", "minute", "minutes", "hour", "hours",
    ];
    let mut rest = text.trim().trim_start_matches(['+', '-']);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let number = rest.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(rest.len());
        if number == 0 {
            return false;
        }
        let after = rest.get(number..).unwrap_or_default().trim_start();
        let unit = after.find(|char: char| !char.is_alphabetic()).unwrap_or(after.len());
        let (name, next) = after.split_at(unit);
        let long =
            ["day", "days", "week", "weeks", "nanosecond", "nanoseconds", "microsecond", "microseconds"];
        if !UNITS.contains(&name) && !long.contains(&name) {
            return false;
        }
        rest = next.trim_start();
    }
    true
}

fn is_label(text: &str, upper: bool) -> bool {
    let inner = |char: char| {
        char.is_ascii_digit() || char.is_ascii_lowercase() || (upper && char.is_ascii_uppercase())
    };
    !text.is_empty()
        && text.len() <= 63
        && text.chars().all(|char| inner(char) || char == '-')
        && text.starts_with(inner)
        && text.ends_with(inner)
}

/// One label, or several of which the last is of letters only.
fn is_hostname(text: &str) -> bool {
    let letters = |label: &str| label.len() >= 2 && label.chars().all(char::is_alphabetic);
    text.len() <= 255
        && text.split('.').all(|label| is_label(label, true))
        && text.rsplit_once('.').is_none_or(|(_, last)| letters(last))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|char: char| char.is_ascii_alphabetic())
        && text.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.'))
}
