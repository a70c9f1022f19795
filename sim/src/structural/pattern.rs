//! Patterns of schemas: regular expressions in Go's syntax, which differs from our library's in a few places.

use std::fmt;

use regex::{Regex, RegexBuilder};

/// How large a compiled expression may be; Go counts differently, and takes what real definitions have.
const SIZE_LIMIT: usize = 64 << 20;

/// A regular expression as its author wrote it.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    source: String,
    regex: Regex,
}

// === impl Pattern ===

impl Pattern {
    /// Reads an expression, or says what is wrong with it.
    pub(super) fn parse(source: &str) -> Result<Self, regex::Error> {
        let regex = RegexBuilder::new(&translated(source)).size_limit(SIZE_LIMIT).build()?;
        Ok(Self { source: source.to_owned(), regex })
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// Writes an expression in our library's syntax: in Go's, classes do not nest and have no operators, `\d`, `\s`, `\w` and
/// `\b` know ASCII alone, and a brace that repeats nothing is a brace.
fn translated(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 8);
    let mut rest = source.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '\\' => match rest.next() {
                Some('b') => out.push_str(r"(?-u:\b)"),
                Some('B') => out.push_str(r"(?-u:\B)"),
                Some(escaped) => match ascii_class(escaped) {
                    Some((inside, negated)) => {
                        out.push_str(if negated { "[^" } else { "[" });
                        out.push_str(inside);
                        out.push(']');
                    }
                    None => out.extend(['\\', escaped]),
                },
                None => out.push('\\'),
            },
            '[' => rest = class(&mut out, rest.as_str()).chars(),
            '{' if !repeats(rest.as_str()) => out.push_str(r"\{"),
            other => out.push(other),
        }
    }
    out
}

/// Writes a class whose bracket has been read; gives what follows it.
fn class<'a>(out: &mut String, mut rest: &'a str) -> &'a str {
    out.push('[');
    if let Some(after) = rest.strip_prefix('^') {
        out.push('^');
        rest = after;
    }
    // A closing bracket that comes first is a letter like others.
    if let Some(after) = rest.strip_prefix(']') {
        out.push_str(r"\]");
        rest = after;
    }
    let mut letters = rest.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ']' => {
                out.push(']');
                return letters.as_str();
            }
            '[' => match named(letters.as_str()) {
                Some((name, after)) => {
                    out.push('[');
                    out.push_str(name);
                    letters = after.chars();
                }
                None => out.push_str(r"\["),
            },
            '&' | '~' => out.extend(['\\', letter]),
            '\\' => match letters.next() {
                Some(escaped) => match ascii_class(escaped) {
                    Some((inside, false)) => out.push_str(inside),
                    Some((inside, true)) => {
                        out.push_str("[^");
                        out.push_str(inside);
                        out.push(']');
                    }
                    None => out.extend(['\\', escaped]),
                },
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    ""
}

/// Splits a named class (`:alpha:]`) from what follows it.
fn named(rest: &str) -> Option<(&str, &str)> {
    let end = rest.strip_prefix(':')?.find(":]")? + 3;
    let (name, after) = rest.split_at_checked(end)?;
    name.chars()
        .all(|letter| letter.is_ascii_alphabetic() || matches!(letter, ':' | '^' | ']'))
        .then_some((name, after))
}

/// Gives what is in the class of an escaped letter, and whether the class is of all the others.
fn ascii_class(letter: char) -> Option<(&'static str, bool)> {
    let inside = match letter.to_ascii_lowercase() {
        'd' => "0-9",
        's' => r"\t\n\x0C\r ",
        'w' => "0-9A-Za-z_",
        _ => return None,
    };
    Some((inside, letter.is_ascii_uppercase()))
}

/// Tells whether what follows a brace makes it a repetition: `n}`, `n,}` or `n,m}`.
fn repeats(rest: &str) -> bool {
    let Some((inside, _)) = rest.split_once('}') else { return false };
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    let digits = |text: &str| text.chars().all(|letter| letter.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern).unwrap().is_match(text)
    }

    #[test]
    fn classes_do_not_nest_and_have_no_operators() {
        assert!(matches("^[^][ ()]+$", "abc") && !matches("^[^][ ()]+$", "a[c"));
        assert!(matches("^[]a]+$", "]a") && matches("^[a[]+$", "[a"));
        assert!(matches("^[a&&b]+$", "a&b") && matches("^[a~~]+$", "~"));
        assert!(matches("^[[:alpha:]_]+$", "a_") && !matches("^[[:alpha:]]+$", "1"));
        assert!(matches(r"^[\[\]]+$", "[]"));
    }

    #[test]
    fn short_classes_know_ascii_alone() {
        assert!(matches(r"^\d+[\d.]\D[\W]$", "1.x-") && !matches(r"^\d$", "\u{0663}"));
        assert!(!matches(r"^\w$", "ä") && matches(r"^[\W]$", "ä") && matches(r"a\b", "aä"));
    }

    #[test]
    fn a_brace_that_repeats_nothing_is_a_brace() {
        assert!(matches("^a{2}b{1,}$", "aabb") && matches("^{a}$", "{a}") && matches("^a{,2}$", "a{,2}"));
    }

    #[test]
    fn what_is_wrong_stays_wrong_and_words_stay_the_authors() {
        assert!(Pattern::parse("(").is_err() && Pattern::parse("[a").is_err());
        assert_eq!(Pattern::parse(r"^\d[[]$").unwrap().to_string(), r"^\d[[]$");
    }
}
