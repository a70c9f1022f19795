//! Globs as Argo CD has them: gobwas/glob for sources, destinations and files, Go's `filepath.Match` for kinds.
//!
//! A pattern is compiled once and matched with a table of states, so that no pattern makes a text cost more than
//! (pattern length × text length).

#[cfg(test)]
mod tests;

/// Longest pattern that is compiled, in characters, with all alternatives counted.
const MAX_PATTERN: usize = 1024;
/// Deepest nesting of `{…}`.
const MAX_NESTING: usize = 16;

/// A pattern that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pattern {pattern:?}: {why}")]
pub struct GlobError {
    /// The pattern as given.
    pub pattern: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    states: Vec<State>,
    separators: Vec<char>,
}

/// One step of a pattern; the state after it is the next one unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Char(char),
    /// Any character that is no separator.
    Any,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// Any number of characters, separators among them or not.
    Many {
        separators: bool,
    },
    /// Goes on at each of these states.
    Fork(Vec<usize>),
    /// Goes on at this state.
    Jump(usize),
}

// === impl Glob ===

impl Glob {
    /// Compiles a pattern of gobwas/glob: `*` (stops at separators), `**` (does not), `?`, `[a-z]`, `[!a]`, `{a,b}` and
    /// `\` before a character that stands for itself.
    pub fn new(pattern: &str, separators: &[char]) -> Result<Self, GlobError> {
        Compiler::compile(pattern, separators, Dialect::Gobwas)
    }

    /// Compiles a pattern of Go's `filepath.Match`: `*` and `?` stop at `/`, `[a-z]`, `[^a]`, no `**`, no `{}`.
    pub fn file_match(pattern: &str) -> Result<Self, GlobError> {
        Compiler::compile(pattern, &['/'], Dialect::FileMatch)
    }

    /// Tells whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        let mut current = vec![false; self.states.len() + 1];
        let mut next = current.clone();
        self.reach(0, &mut current);
        for character in text.chars() {
            next.fill(false);
            for (index, state) in self.states.iter().enumerate() {
                if !current.get(index).copied().unwrap_or(false) {
                    continue;
                }
                let separator = self.separators.contains(&character);
                match state {
                    State::Char(expected) if *expected == character => self.reach(index + 1, &mut next),
                    State::Any if !separator => self.reach(index + 1, &mut next),
                    State::Class { negated, ranges } => {
                        let inside = ranges.iter().any(|(from, to)| (*from..=*to).contains(&character));
                        if inside != *negated {
                            self.reach(index + 1, &mut next);
                        }
                    }
                    State::Many { separators } if *separators || !separator => self.reach(index, &mut next),
                    State::Char(_) | State::Any | State::Many { .. } | State::Fork(_) | State::Jump(_) => {}
                }
            }
            std::mem::swap(&mut current, &mut next);
        }
        current.last().copied().unwrap_or(false)
    }

    /// Marks a state and all that follow from it without reading a character.
    fn reach(&self, start: usize, marked: &mut [bool]) {
        let mut pending = vec![start];
        while let Some(index) = pending.pop() {
            match marked.get_mut(index) {
                Some(mark) if !*mark => *mark = true,
                Some(_) | None => continue,
            }
            match self.states.get(index) {
                Some(State::Many { .. }) => pending.push(index + 1),
                Some(State::Fork(targets)) => pending.extend(targets),
                Some(State::Jump(target)) => pending.push(*target),
                Some(State::Char(_) | State::Any | State::Class { .. }) | None => {}
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Gobwas,
    FileMatch,
}

struct Compiler<'a> {
    pattern: &'a str,
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    dialect: Dialect,
    states: Vec<State>,
}

// === impl Compiler ===

impl<'a> Compiler<'a> {
    fn compile(pattern: &'a str, separators: &[char], dialect: Dialect) -> Result<Glob, GlobError> {
        let mut compiler = Self { pattern, rest: pattern.chars().peekable(), dialect, states: Vec::new() };
        if pattern.len() > MAX_PATTERN {
            return Err(compiler.error("is too long"));
        }
        compiler.sequence(0)?;
        Ok(Glob { states: compiler.states, separators: separators.to_vec() })
    }

    fn error(&self, why: &'static str) -> GlobError {
        GlobError { pattern: self.pattern.to_owned(), why }
    }

    /// Reads until the end of the pattern or, inside `{…}`, until its `,` or `}`, which stays unread.
    fn sequence(&mut self, nesting: usize) -> Result<(), GlobError> {
        while let Some(&character) = self.rest.peek() {
            if nesting > 0 && (character == ',' || character == '}') {
                return Ok(());
            }
            self.rest.next();
            match character {
                '*' => {
                    let gobwas = self.dialect == Dialect::Gobwas;
                    let mut stars = 1;
                    while self.rest.next_if_eq(&'*').is_some() {
                        stars += 1;
                    }
                    self.states.push(State::Many { separators: gobwas && stars > 1 });
                }
                '?' => self.states.push(State::Any),
                '[' => self.class()?,
                '{' if self.dialect == Dialect::Gobwas => self.alternatives(nesting + 1)?,
                '}' if self.dialect == Dialect::Gobwas => return Err(self.error("`}` without `{`")),
                '\\' => {
                    let escaped = self.rest.next().ok_or_else(|| self.error("ends with `\\`"))?;
                    self.states.push(State::Char(escaped));
                }
                _ => self.states.push(State::Char(character)),
            }
        }
        if nesting > 0 { Err(self.error("`{` without `}`")) } else { Ok(()) }
    }

    fn alternatives(&mut self, nesting: usize) -> Result<(), GlobError> {
        if nesting > MAX_NESTING {
            return Err(self.error("nests too deep"));
        }
        let fork = self.states.len();
        self.states.push(State::Fork(Vec::new()));
        let (mut targets, mut exits) = (Vec::new(), Vec::new());
        loop {
            targets.push(self.states.len());
            self.sequence(nesting)?;
            exits.push(self.states.len());
            self.states.push(State::Jump(0));
            if self.rest.next() != Some(',') {
                break;
            }
        }
        let end = self.states.len();
        for exit in exits {
            if let Some(state) = self.states.get_mut(exit) {
                *state = State::Jump(end);
            }
        }
        if let Some(state) = self.states.get_mut(fork) {
            *state = State::Fork(targets);
        }
        Ok(())
    }

    fn class(&mut self) -> Result<(), GlobError> {
        let negation = if self.dialect == Dialect::Gobwas { '!' } else { '^' };
        let negated = self.rest.next_if_eq(&negation).is_some();
        let mut ranges = Vec::new();
        loop {
            let from = match self.rest.next() {
                Some(']') if !ranges.is_empty() => break,
                Some(']') | None => return Err(self.error("`[` without `]`, or with nothing in it")),
                Some('\\') => self.rest.next().ok_or_else(|| self.error("ends with `\\`"))?,
                Some(character) => character,
            };
            let mut to = from;
            if self.rest.next_if_eq(&'-').is_some() {
                to = match self.rest.next() {
                    Some(']') | None => return Err(self.error("a range without an end")),
                    Some('\\') => self.rest.next().ok_or_else(|| self.error("ends with `\\`"))?,
                    Some(character) => character,
                };
                if to < from {
                    return Err(self.error("a range that runs backwards"));
                }
            }
            ranges.push((from, to));
        }
        self.states.push(State::Class { negated, ranges });
        Ok(())
    }
}
