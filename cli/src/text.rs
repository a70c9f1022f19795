//! Text that came over the wire, made fit for a terminal.

/// Gives text on one line without anything that a terminal obeys: escape sequences, control characters, and characters
/// that turn or hide the text around them.
pub(crate) fn clean(text: &str) -> String {
    filter(text, |_| Some(' ')).trim().to_owned()
}

/// Gives text as [`clean`] does, but keeps its lines.
pub(crate) fn clean_lines(text: &str) -> String {
    filter(text, Some)
}

/// Walks over the text without escape sequences; `space` decides on line breaks and tabs.
fn filter(text: &str, space: impl Fn(char) -> Option<char>) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\x1b' => skip_escape(&mut characters),
            '\u{9b}' => skip_control_sequence(&mut characters),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => skip_string(&mut characters),
            '\n' | '\t' => kept.extend(space(character)),
            _ if character.is_control() || is_deceptive(character) => {}
            _ => kept.push(character),
        }
    }
    kept
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Skips what follows an escape character.
fn skip_escape(characters: &mut Rest<'_>) {
    match characters.peek() {
        Some('[') => {
            characters.next();
            skip_control_sequence(characters);
        }
        // Operating system command, device control string, start of string, privacy message, application command.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            characters.next();
            skip_string(characters);
        }
        Some(_) => {
            while characters.next_if(|character| (' '..='/').contains(character)).is_some() {}
            characters.next_if(|character| ('0'..='~').contains(character));
        }
        None => {}
    }
}

/// Skips parameters and the final character of a control sequence.
fn skip_control_sequence(characters: &mut Rest<'_>) {
    while characters.next_if(|character| (' '..='?').contains(character)).is_some() {}
    characters.next_if(|character| ('@'..='~').contains(character));
}

/// Skips up to a bell or a string terminator; a line break ends it too, so that no text is swallowed for want of one.
fn skip_string(characters: &mut Rest<'_>) {
    while let Some(character) = characters.peek() {
        match character {
            '\n' => return,
            '\x07' | '\u{9c}' => {
                characters.next();
                return;
            }
            '\x1b' => {
                characters.next();
                characters.next_if_eq(&'\\');
                return;
            }
            _ => {
                characters.next();
            }
        }
    }
}

/// Tells whether a character turns the direction of text, takes no room, or breaks lines behind the terminal's back.
fn is_deceptive(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Gives an age as people read it: its largest unit, from seconds to days.
pub(crate) fn age(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Gives a time in RFC 3339; empty when it is out of the range of times.
pub(crate) fn time(unix_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_ms)
        .map_or_else(|_out_of_range| String::new(), |time| time.to_string())
}

/// Gives a time as Argo CD prints dates, in universal time; empty when it is out of the range of times.
pub(crate) fn date(unix_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_ms).map_or_else(
        |_out_of_range| String::new(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string(),
    )
}

/// Gives a time as Argo CD stamps rows, in universal time; empty when it is out of the range of times.
pub(crate) fn stamp(unix_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_ms).map_or_else(
        |_out_of_range| String::new(),
        |time| time.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
    )
}

/// Shortens a commit to what people compare.
pub(crate) fn short(revision: &str) -> String {
    revision.chars().take(7).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escape_sequences_leave_no_trace() {
        assert_eq!(clean("a\x1b[31mred\x1b[0m b"), "ared b");
        assert_eq!(clean("\x1b]8;;http://evil\x07link\x1b]8;;\x1b\\ end"), "link end");
        assert_eq!(clean("\x1b]0;title\u{9c}x\u{9b}2Jy"), "xy");
        assert_eq!(clean("\x1b(Bx\x1bcy\x1bPdata\x1b\\z"), "xyz");
        assert_eq!(clean("open\x1b]52;c;never closed\nnext line"), "open next line");
        assert_eq!(clean("end\x1b"), "end");
    }

    #[test]
    fn text_cannot_turn_or_hide() {
        assert_eq!(clean("abc\u{202e}def\u{2066}g\u{200b}h\u{feff}"), "abcdefgh");
        assert_eq!(clean("a\r\nb\u{7}\u{8}c\td"), "a bc d");
        assert_eq!(clean_lines("a\r\nb\u{2028}c"), "a\nbc");
    }

    #[test]
    fn ages_have_one_unit() {
        let ages = [0, 3_400, 119_000, 300_000, 7_200_000, 200_000_000].map(age);
        assert_eq!(ages, ["0s", "3s", "119s", "5m", "2h", "2d"]);
    }

    #[test]
    fn times_are_in_universal_time() {
        assert_eq!(time(1_700_000_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(date(1_700_000_000_000), "2023-11-14 22:13:20 +0000 UTC");
        assert_eq!(stamp(1_700_000_000_000), "2023-11-14T22:13:20+00:00");
        assert_eq!(time(i64::MAX), "");
    }

    proptest! {
        #[test]
        fn nothing_that_a_terminal_obeys_is_left(text in "(\\PC|\\p{C}|\x1b|\\[|\\]){0,40}") {
            let cleaned = clean(&text);
            prop_assert!(!cleaned.chars().any(|character| character.is_control() || is_deceptive(character)));
        }
    }
}
