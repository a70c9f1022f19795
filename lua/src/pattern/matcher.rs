//! One pattern on one text.

use mlua::{Error, Result};

use crate::sandbox::Budget;

/// Most captures of a pattern, and how deep a match may nest, as in Lua.
const CAPTURES: usize = 32;
const DEPTH: usize = 200;

/// What a capture holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capture {
    /// A position.
    Position(usize),
    /// From here to there.
    Span(usize, usize),
}

/// A capture while it is made.
#[derive(Debug, Clone, Copy)]
enum Slot {
    Open(usize),
    Done(Capture),
}

/// A pattern, a text, and how far the match is.
pub(super) struct Matcher<'a> {
    text: &'a [u8],
    pattern: &'a [u8],
    anchored: bool,
    slots: Vec<Slot>,
    depth: usize,
    budget: &'a Budget,
}

// === impl Matcher ===

impl<'a> Matcher<'a> {
    pub(super) fn new(text: &'a [u8], pattern: &'a [u8], budget: &'a Budget) -> Self {
        let (pattern, anchored) = match pattern.strip_prefix(b"^") {
            Some(pattern) => (pattern, true),
            None => (pattern, false),
        };
        Self { text, pattern, anchored, slots: Vec::new(), depth: 0, budget }
    }

    /// Finds the first match from here on.
    pub(super) fn search(&mut self, from: usize) -> Result<Option<(usize, usize)>> {
        let mut at = from;
        while at <= self.text.len() {
            if let Some(end) = self.at(at)? {
                return Ok(Some((at, end)));
            }
            if self.anchored {
                break;
            }
            at = at.saturating_add(1);
        }
        Ok(None)
    }

    /// Matches exactly here; gives the end.
    pub(super) fn at(&mut self, at: usize) -> Result<Option<usize>> {
        self.slots.clear();
        self.go(at, 0)
    }

    /// Gives the captures of the match.
    pub(super) fn captures(&self) -> impl Iterator<Item = Result<Capture>> {
        self.slots.iter().map(|slot| match slot {
            Slot::Done(capture) => Ok(*capture),
            Slot::Open(_) => Err(Error::runtime("unfinished capture")),
        })
    }

    fn go(&mut self, s: usize, p: usize) -> Result<Option<usize>> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > DEPTH {
            return Err(Error::runtime("pattern too complex"));
        }
        let matched = self.steps(s, p);
        self.depth = self.depth.saturating_sub(1);
        matched
    }

    fn steps(&mut self, mut s: usize, mut p: usize) -> Result<Option<usize>> {
        loop {
            self.budget.pay(1)?;
            let Some(special) = self.pattern.get(p) else { return Ok(Some(s)) };
            let next = self.pattern.get(p.saturating_add(1));
            match (special, next) {
                (b'(', Some(b')')) => {
                    return self.open(Slot::Done(Capture::Position(s)), s, p.saturating_add(2));
                }
                (b'(', _) => return self.open(Slot::Open(s), s, p.saturating_add(1)),
                (b')', _) => return self.close(s, p.saturating_add(1)),
                (b'$', None) => return Ok((s == self.text.len()).then_some(s)),
                (b'%', Some(b'b')) => match self.balanced(s, p.saturating_add(2))? {
                    Some(end) => (s, p) = (end, p.saturating_add(4)),
                    None => return Ok(None),
                },
                (b'%', Some(b'f')) => {
                    let set = p.saturating_add(2);
                    if self.pattern.get(set) != Some(&b'[') {
                        return Err(Error::runtime("missing '[' after '%f' in pattern"));
                    }
                    let end = self.item_end(set)?;
                    self.budget.pay(cost(p, end))?;
                    let before = s.checked_sub(1).and_then(|at| self.text.get(at)).copied().unwrap_or(0);
                    let here = self.text.get(s).copied().unwrap_or(0);
                    if self.in_set(before, set, end) || !self.in_set(here, set, end) {
                        return Ok(None);
                    }
                    p = end;
                }
                (b'%', Some(digit @ b'0'..=b'9')) => match self.again(s, *digit)? {
                    Some(end) => (s, p) = (end, p.saturating_add(2)),
                    None => return Ok(None),
                },
                _ => {
                    let end = self.item_end(p)?;
                    self.budget.pay(cost(p, end))?;
                    let after = end.saturating_add(1);
                    let here = self.is_one(s, p, end);
                    match self.pattern.get(end) {
                        Some(b'?') => {
                            if here && let Some(found) = self.go(s.saturating_add(1), after)? {
                                return Ok(Some(found));
                            }
                            p = after;
                        }
                        Some(b'+') if here => return self.most(s.saturating_add(1), p, end),
                        Some(b'*') => return self.most(s, p, end),
                        Some(b'-') => return self.fewest(s, p, end),
                        Some(b'+') => return Ok(None),
                        Some(_) | None if here => (s, p) = (s.saturating_add(1), end),
                        Some(_) | None => return Ok(None),
                    }
                }
            }
        }
    }

    fn open(&mut self, slot: Slot, s: usize, p: usize) -> Result<Option<usize>> {
        if self.slots.len() >= CAPTURES {
            return Err(Error::runtime("too many captures"));
        }
        let level = self.slots.len();
        self.slots.push(slot);
        let found = self.go(s, p)?;
        if found.is_none() {
            self.slots.truncate(level);
        }
        Ok(found)
    }

    fn close(&mut self, s: usize, p: usize) -> Result<Option<usize>> {
        let open = self.slots.iter().rposition(|slot| matches!(slot, Slot::Open(_)));
        let Some((level, start)) = open.and_then(|level| match self.slots.get(level) {
            Some(Slot::Open(start)) => Some((level, *start)),
            Some(Slot::Done(_)) | None => None,
        }) else {
            return Err(Error::runtime("invalid pattern capture"));
        };
        self.set(level, Slot::Done(Capture::Span(start, s)));
        let found = self.go(s, p)?;
        if found.is_none() {
            self.set(level, Slot::Open(start));
        }
        Ok(found)
    }

    fn set(&mut self, level: usize, slot: Slot) {
        if let Some(place) = self.slots.get_mut(level) {
            *place = slot;
        }
    }

    /// As many as there are, then fewer.
    fn most(&mut self, s: usize, p: usize, end: usize) -> Result<Option<usize>> {
        let mut count = 0_usize;
        while self.is_one(s.saturating_add(count), p, end) {
            self.budget.pay(cost(p, end))?;
            count = count.saturating_add(1);
        }
        loop {
            if let Some(found) = self.go(s.saturating_add(count), end.saturating_add(1))? {
                return Ok(Some(found));
            }
            match count.checked_sub(1) {
                Some(fewer) => count = fewer,
                None => return Ok(None),
            }
        }
    }

    /// None, then more.
    fn fewest(&mut self, mut s: usize, p: usize, end: usize) -> Result<Option<usize>> {
        loop {
            if let Some(found) = self.go(s, end.saturating_add(1))? {
                return Ok(Some(found));
            }
            self.budget.pay(cost(p, end))?;
            if !self.is_one(s, p, end) {
                return Ok(None);
            }
            s = s.saturating_add(1);
        }
    }

    fn balanced(&self, s: usize, p: usize) -> Result<Option<usize>> {
        let (Some(open), Some(close)) = (self.pattern.get(p), self.pattern.get(p.saturating_add(1))) else {
            return Err(Error::runtime("malformed pattern (missing arguments to '%b')"));
        };
        if self.text.get(s) != Some(open) {
            return Ok(None);
        }
        let mut depth = 1_usize;
        for (at, byte) in self.text.iter().enumerate().skip(s.saturating_add(1)) {
            self.budget.pay(1)?;
            if byte == close {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Ok(Some(at.saturating_add(1)));
                }
            } else if byte == open {
                depth = depth.saturating_add(1);
            }
        }
        Ok(None)
    }

    /// Matches what a capture holds once more.
    fn again(&self, s: usize, digit: u8) -> Result<Option<usize>> {
        let level = usize::from(digit).checked_sub(usize::from(b'1'));
        let Some(Slot::Done(Capture::Span(start, end))) = level.and_then(|level| self.slots.get(level))
        else {
            return Err(Error::runtime(format!("invalid capture index %{}", char::from(digit))));
        };
        let held = self.text.get(*start..*end).unwrap_or_default();
        self.budget.pay(held.len() as u64)?;
        let there = self.text.get(s..).is_some_and(|rest| rest.starts_with(held));
        Ok(there.then_some(s.saturating_add(held.len())))
    }

    /// Gives the end of the item that begins here.
    fn item_end(&self, p: usize) -> Result<usize> {
        let ends = || Error::runtime("malformed pattern (ends with '%')");
        let open = || Error::runtime("malformed pattern (missing ']')");
        match self.pattern.get(p) {
            Some(b'%') => match self.pattern.get(p.saturating_add(1)) {
                Some(_) => Ok(p.saturating_add(2)),
                None => Err(ends()),
            },
            Some(b'[') => {
                let mut at = p.saturating_add(1);
                if self.pattern.get(at) == Some(&b'^') {
                    at = at.saturating_add(1);
                }
                // The first bracket stands for itself.
                let mut first = true;
                loop {
                    match self.pattern.get(at) {
                        None => return Err(open()),
                        Some(b']') if !first => return Ok(at.saturating_add(1)),
                        Some(b'%') => at = at.saturating_add(2),
                        Some(_) => at = at.saturating_add(1),
                    }
                    first = false;
                }
            }
            Some(_) | None => Ok(p.saturating_add(1)),
        }
    }

    /// Tells whether the byte here is one of the item.
    fn is_one(&self, s: usize, p: usize, end: usize) -> bool {
        let Some(byte) = self.text.get(s).copied() else { return false };
        match (self.pattern.get(p), self.pattern.get(p.saturating_add(1))) {
            (Some(b'.'), _) => true,
            (Some(b'%'), Some(class)) => is_of_class(byte, *class),
            (Some(b'['), _) => self.in_set(byte, p, end),
            (Some(item), _) => *item == byte,
            (None, _) => false,
        }
    }

    /// Tells whether a byte is in the set from its bracket to its end.
    fn in_set(&self, byte: u8, p: usize, end: usize) -> bool {
        let inside = self.pattern.get(p.saturating_add(1)..end.saturating_sub(1)).unwrap_or_default();
        let (mut rest, negated) = match inside.strip_prefix(b"^") {
            Some(rest) => (rest, true),
            None => (inside, false),
        };
        let mut found = false;
        loop {
            (found, rest) = match rest {
                [] => return found != negated,
                [b'%', class, rest @ ..] => (found || is_of_class(byte, *class), rest),
                [from, b'-', to, rest @ ..] => (found || (*from..=*to).contains(&byte), rest),
                [item, rest @ ..] => (found || *item == byte, rest),
            };
        }
    }
}

/// What it costs to look at an item: a set may be long.
fn cost(p: usize, end: usize) -> u64 {
    end.saturating_sub(p) as u64
}

fn is_of_class(byte: u8, class: u8) -> bool {
    let found = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'g' => byte.is_ascii_graphic(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0b,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        _ => return class == byte,
    };
    found != class.is_ascii_uppercase()
}
