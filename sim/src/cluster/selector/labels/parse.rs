//! The text form of label selectors, e.g. `app=web,tier in (a, b),!old`.

use std::collections::BTreeSet;

use super::{Operator, Requirement};
use crate::kinds::metadata;

/// What a selector is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Identifier,
    In,
    NotIn,
    Not,
    Open,
    Close,
    Comma,
    Equals,
    DoubleEquals,
    NotEquals,
    Above,
    Below,
    End,
}

/// Where the words `in` and `notin` may be operators, and where they are only names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Context {
    KeyOrOperator,
    Values,
}

/// A selector that is being read.
struct Parser<'a> {
    rest: &'a str,
}

/// Reads a selector; why it makes no sense is told in the words of the API server.
pub(in super::super) fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut parser = Parser { rest: text };
    let mut requirements = Vec::new();
    loop {
        match parser.look(Context::Values) {
            (Token::Identifier | Token::Not, _) => {}
            (Token::End, _) => return Ok(requirements),
            (_, text) => return Err(format!("found '{text}', expected: !, identifier, or 'end of string'")),
        }
        requirements.push(parser.requirement().map_err(|why| format!("unable to parse requirement: {why}"))?);
        match parser.take(Context::Values) {
            (Token::End, _) => return Ok(requirements),
            (Token::Comma, _) => {
                let (token, text) = parser.look(Context::Values);
                if !matches!(token, Token::Identifier | Token::Not) {
                    return Err(format!("found '{text}', expected: identifier after ','"));
                }
            }
            (_, text) => return Err(format!("found '{text}', expected: ',' or 'end of string'")),
        }
    }
}

// === impl Parser ===

impl<'a> Parser<'a> {
    /// Reads one condition.
    fn requirement(&mut self) -> Result<Requirement, String> {
        let (mut token, mut key) = self.take(Context::Values);
        let absent = token == Token::Not;
        if absent {
            (token, key) = self.take(Context::Values);
        }
        if token != Token::Identifier {
            return Err(format!("found '{key}', expected: identifier"));
        }
        if let Some(why) = metadata::label_key(key) {
            return Err(format!("<nil>: Invalid value: {key:?}: {why}"));
        }
        let made = |operator| Requirement { key: key.to_owned(), operator };
        if absent {
            return Ok(made(Operator::Absent));
        }
        if matches!(self.look(Context::Values).0, Token::End | Token::Comma) {
            return Ok(made(Operator::Exists));
        }
        let (token, text) = self.take(Context::KeyOrOperator);
        let operator = match token {
            Token::In => Operator::In(checked(key, self.values()?)?),
            Token::NotIn => Operator::NotIn(checked(key, self.values()?)?),
            Token::Equals | Token::DoubleEquals => Operator::In(checked(key, [self.value()?].into())?),
            Token::NotEquals => Operator::NotIn(checked(key, [self.value()?].into())?),
            Token::Above => Operator::Above(bound(key, self.value()?)?),
            Token::Below => Operator::Below(bound(key, self.value()?)?),
            Token::Identifier | Token::Not | Token::Open | Token::Close | Token::Comma | Token::End => {
                return Err(format!("found '{text}', expected: in, notin, =, ==, !=, gt, lt"));
            }
        };
        Ok(made(operator))
    }

    /// Reads the value that stands alone behind an operator; nothing is the empty one.
    fn value(&mut self) -> Result<&'a str, String> {
        if matches!(self.look(Context::Values).0, Token::End | Token::Comma) {
            return Ok("");
        }
        match self.take(Context::Values) {
            (Token::Identifier, text) => Ok(text),
            (_, text) => Err(format!("found '{text}', expected: identifier")),
        }
    }

    /// Reads the values in parentheses.
    fn values(&mut self) -> Result<BTreeSet<&'a str>, String> {
        let (token, text) = self.take(Context::Values);
        if token != Token::Open {
            return Err(format!("found '{text}' expected: '('"));
        }
        let mut values = BTreeSet::new();
        match self.look(Context::Values) {
            (Token::Identifier | Token::Comma, _) => {}
            (Token::Close, _) => {
                self.take(Context::Values);
                return Ok([""].into());
            }
            (_, text) => return Err(format!("found '{text}', expected: ',', ')' or identifier")),
        }
        loop {
            match self.take(Context::Values) {
                (Token::Identifier, text) => {
                    values.insert(text);
                    match self.look(Context::Values) {
                        (Token::Comma, _) => {}
                        (Token::Close, _) => break,
                        (_, text) => return Err(format!("found '{text}', expected: ',' or ')'")),
                    }
                }
                (Token::Comma, _) => {
                    if values.is_empty() {
                        values.insert("");
                    }
                    let (token, _) = self.look(Context::Values);
                    if token == Token::Close {
                        values.insert("");
                        break;
                    }
                    if token == Token::Comma {
                        self.take(Context::Values);
                        values.insert("");
                    }
                }
                (_, text) => return Err(format!("found '{text}', expected: ',', or identifier")),
            }
        }
        self.take(Context::Values);
        Ok(values)
    }

    fn look(&self, context: Context) -> (Token, &'a str) {
        let (token, text, _) = next(self.rest);
        (in_context(token, context), text)
    }

    fn take(&mut self, context: Context) -> (Token, &'a str) {
        let (token, text, rest) = next(self.rest);
        self.rest = rest;
        (in_context(token, context), text)
    }
}

fn in_context(token: Token, context: Context) -> Token {
    let is_word = matches!(token, Token::In | Token::NotIn);
    if is_word && context == Context::Values { Token::Identifier } else { token }
}

/// Splits off the first token: what it is, its text, and what comes after it.
fn next(text: &str) -> (Token, &str, &str) {
    const SIGNS: [(&str, Token); 9] = [
        ("==", Token::DoubleEquals),
        ("!=", Token::NotEquals),
        ("=", Token::Equals),
        ("!", Token::Not),
        ("(", Token::Open),
        (")", Token::Close),
        (",", Token::Comma),
        (">", Token::Above),
        ("<", Token::Below),
    ];
    let is_blank = |letter: char| matches!(letter, ' ' | '\t' | '\r' | '\n');
    let text = text.trim_start_matches(is_blank);
    for (sign, token) in SIGNS {
        if let (Some(rest), Some(sign)) = (text.strip_prefix(sign), text.get(..sign.len())) {
            return (token, sign, rest);
        }
    }
    let is_sign = |letter: char| matches!(letter, '=' | '!' | '(' | ')' | ',' | '>' | '<');
    let end = text.find(|letter| is_blank(letter) || is_sign(letter)).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let token = match word {
        "" => Token::End,
        "in" => Token::In,
        "notin" => Token::NotIn,
        _ => Token::Identifier,
    };
    (token, word, rest)
}

/// Gives values in order, if all of them can be values of labels.
fn checked(key: &str, values: BTreeSet<&str>) -> Result<Vec<String>, String> {
    told(faults(key, values.iter().copied()))?;
    Ok(values.into_iter().map(str::to_owned).collect())
}

/// Gives the number with which labels are compared.
fn bound(key: &str, value: &str) -> Result<i64, String> {
    let number = value.parse();
    let mut whys = Vec::new();
    if number.is_err() {
        let why = "for 'Gt', 'Lt' operators, the value must be an integer";
        whys.push(format!("values[0]: Invalid value: {value:?}: {why}"));
    }
    whys.extend(faults(key, [value].into_iter()));
    told(whys)?;
    number.map_err(|_told_already| String::new())
}

fn faults<'a>(key: &str, values: impl Iterator<Item = &'a str>) -> Vec<String> {
    let fault = |(at, value): (usize, &str)| {
        let told = |why| format!("values[{at}][{key}]: Invalid value: {value:?}: {why}");
        metadata::label_value(value).map(told).collect::<Vec<_>>()
    };
    values.enumerate().flat_map(fault).collect()
}

fn told(mut whys: Vec<String>) -> Result<(), String> {
    match whys.len() {
        0 => Ok(()),
        1 => Err(whys.swap_remove(0)),
        _ => Err(format!("[{}]", whys.join(", "))),
    }
}
