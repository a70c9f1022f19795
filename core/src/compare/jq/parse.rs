//! Reads expressions.

use std::iter::Peekable;

use serde_json::Value;

use super::{Filter, Operator, Test};

/// Longest expression, in characters.
const LONGEST: usize = 2_048;
/// Deepest nesting of parentheses.
const DEEPEST: usize = 32;

/// Reads an expression; the error says what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Filter, String> {
    if text.len() > LONGEST {
        return Err(format!("is longer than {LONGEST} characters"));
    }
    let mut parser = Parser { tokens: tokens(text)?.into_iter().peekable(), depth: 0 };
    let filter = parser.pipe()?;
    match parser.tokens.next() {
        None => Ok(filter),
        Some(token) => Err(format!("{} is not expected there", token.shown())),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// `.name` or `."name"`.
    Field(String),
    Word(String),
    Text(String),
    Number(Value),
    /// `.`, `..`, `|`, `==`, …
    Sign(&'static str),
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::Field(name) => format!("{:?}", format!(".{name}")),
            Self::Word(text) | Self::Text(text) => format!("{text:?}"),
            Self::Number(number) => format!("\"{number}\""),
            Self::Sign(sign) => format!("{sign:?}"),
        }
    }
}

/// The signs, longer ones first.
const SIGNS: [&str; 18] =
    ["..", "==", "!=", "<=", ">=", "//", ".", "|", ",", "(", ")", "[", "]", "<", ">", "?", ":", "-"];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = if first == '"' {
            let (text, length) = quoted(rest)?;
            (Token::Text(text), length)
        } else if first.is_ascii_digit() {
            let length = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
            let number = rest.get(..length).and_then(|digits| serde_json::from_str(digits).ok());
            (Token::Number(number.ok_or_else(|| "a number is not in JSON's form".to_owned())?), length)
        } else if is_word(first) {
            let length = rest.find(|c| !is_word(c) && !char::is_ascii_digit(&c)).unwrap_or(rest.len());
            (Token::Word(rest.get(..length).unwrap_or_default().to_owned()), length)
        } else if let Some(name) = field(rest)? {
            (Token::Field(name.0), name.1)
        } else {
            let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
            let sign = sign.ok_or_else(|| format!("{first:?} is not known"))?;
            (Token::Sign(sign), sign.len())
        };
        tokens.push(token);
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(tokens)
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphabetic() || character == '_'
}

/// Reads `.name` or `."name"`, with its length.
fn field(text: &str) -> Result<Option<(String, usize)>, String> {
    let Some(rest) = text.strip_prefix('.') else { return Ok(None) };
    if rest.starts_with('"') {
        let (name, length) = quoted(rest)?;
        return Ok(Some((name, length + 1)));
    }
    if !rest.starts_with(is_word) {
        return Ok(None);
    }
    let length = rest.find(|c| !is_word(c) && !char::is_ascii_digit(&c)).unwrap_or(rest.len());
    Ok(Some((rest.get(..length).unwrap_or_default().to_owned(), length + 1)))
}

/// Reads a text in quotes, with its length.
fn quoted(text: &str) -> Result<(String, usize), String> {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, character)| {
        let ends = *character == '"' && !escaped;
        escaped = *character == '\\' && !escaped;
        ends
    });
    let end = end.map(|(at, _)| at + 1).ok_or_else(|| "a text has no closing quote".to_owned())?;
    let literal = text.get(..end).unwrap_or_default();
    let read = serde_json::from_str(literal);
    let read: String = read.map_err(|_no_json| format!("{literal} is no text in JSON's form"))?;
    if literal.contains("\\(") {
        return Err("texts with values in them are not supported".to_owned());
    }
    Ok((read, end))
}

struct Parser {
    tokens: Peekable<std::vec::IntoIter<Token>>,
    depth: usize,
}

type Read = Result<Filter, String>;

impl Parser {
    fn takes(&mut self, sign: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Sign(found) if *found == sign)).is_some()
    }

    fn takes_word(&mut self, word: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Word(found) if found == word)).is_some()
    }

    fn expects(&mut self, sign: &str) -> Result<(), String> {
        if self.takes(sign) {
            return Ok(());
        }
        let found = self.tokens.peek().map_or_else(|| "the end".to_owned(), Token::shown);
        Err(format!("expected {sign:?}, not {found}"))
    }

    fn pipe(&mut self) -> Read {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("nests too deep".to_owned());
        }
        let mut filter = self.comma()?;
        while self.takes("|") {
            filter = Filter::Pipe(Box::new(filter), Box::new(self.comma()?));
        }
        self.depth -= 1;
        Ok(filter)
    }

    fn comma(&mut self) -> Read {
        let mut filter = self.or()?;
        while self.takes(",") {
            filter = Filter::Comma(Box::new(filter), Box::new(self.or()?));
        }
        Ok(filter)
    }

    fn or(&mut self) -> Read {
        let mut filter = self.and()?;
        while self.takes_word("or") {
            filter = Filter::Binary(Operator::Or, Box::new(filter), Box::new(self.and()?));
        }
        Ok(filter)
    }

    fn and(&mut self) -> Read {
        let mut filter = self.comparison()?;
        while self.takes_word("and") {
            filter = Filter::Binary(Operator::And, Box::new(filter), Box::new(self.comparison()?));
        }
        Ok(filter)
    }

    fn comparison(&mut self) -> Read {
        let filter = self.postfix()?;
        let operators = [
            ("==", Operator::Equal),
            ("!=", Operator::Unequal),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::MoreOrEqual),
            ("<", Operator::Less),
            (">", Operator::More),
        ];
        match operators.into_iter().find(|(sign, _)| self.takes(sign)) {
            Some((_, operator)) => Ok(Filter::Binary(operator, Box::new(filter), Box::new(self.postfix()?))),
            None => Ok(filter),
        }
    }

    fn postfix(&mut self) -> Read {
        let mut filter = self.term()?;
        loop {
            let next = if let Some(Token::Field(name)) =
                self.tokens.next_if(|token| matches!(token, Token::Field(_)))
            {
                Filter::Field(name)
            } else if self.takes("[") {
                self.bracket()?
            } else if self.takes("?") {
                // What does not fit names nothing in any case.
                continue;
            } else if matches!(self.tokens.peek(), Some(Token::Sign("."))) {
                // `.a.[0]` is `.a[0]`.
                self.tokens.next();
                self.expects("[")?;
                self.bracket()?
            } else {
                return Ok(filter);
            };
            filter = if matches!(filter, Filter::Identity) {
                next
            } else {
                Filter::Pipe(Box::new(filter), Box::new(next))
            };
        }
    }

    /// Reads what follows `[`.
    fn bracket(&mut self) -> Read {
        if self.takes("]") {
            return Ok(Filter::Each);
        }
        let negative = self.takes("-");
        let filter = match self.tokens.next() {
            Some(Token::Text(name)) if !negative => Filter::Field(name),
            Some(Token::Number(number)) => {
                let index = number.as_i64().ok_or_else(|| format!("{number} is no index"))?;
                Filter::Index(if negative { -index } else { index })
            }
            _ => return Err("only [], [NUMBER] and [\"NAME\"] are supported as steps".to_owned()),
        };
        self.expects("]")?;
        Ok(filter)
    }

    fn term(&mut self) -> Read {
        match self.tokens.next() {
            Some(Token::Field(name)) => Ok(Filter::Field(name)),
            Some(Token::Sign(".")) => Ok(Filter::Identity),
            Some(Token::Sign("..")) => Ok(Filter::Recurse),
            Some(Token::Sign("(")) => {
                let filter = self.pipe()?;
                self.expects(")")?;
                Ok(filter)
            }
            Some(Token::Sign("-")) => match self.tokens.next() {
                Some(Token::Number(number)) => {
                    let number = serde_json::from_str(&format!("-{number}"));
                    number.map(Filter::Literal).map_err(|_no_number| "\"-\" is not expected there".to_owned())
                }
                _ => Err("arithmetic is not supported".to_owned()),
            },
            Some(Token::Text(text)) => Ok(Filter::Literal(Value::String(text))),
            Some(Token::Number(number)) => Ok(Filter::Literal(number)),
            Some(Token::Word(word)) => self.word(&word),
            Some(token @ Token::Sign(_)) => Err(format!("{} is not expected there", token.shown())),
            None => Err("ends too early".to_owned()),
        }
    }

    fn word(&mut self, word: &str) -> Read {
        let test = match word {
            "true" => return Ok(Filter::Literal(Value::Bool(true))),
            "false" => return Ok(Filter::Literal(Value::Bool(false))),
            "null" => return Ok(Filter::Literal(Value::Null)),
            "not" => return Ok(Filter::Not),
            "recurse" if !matches!(self.tokens.peek(), Some(Token::Sign("("))) => return Ok(Filter::Recurse),
            "select" => return Ok(Filter::Select(Box::new(self.argument()?))),
            "first" => return Ok(Filter::First(Box::new(self.argument()?))),
            "startswith" => Test::StartsWith,
            "endswith" => Test::EndsWith,
            "contains" => Test::Contains,
            "has" => Test::Has,
            _ => return Err(format!("the function {word:?} is not supported")),
        };
        Ok(Filter::Test(test, Box::new(self.argument()?)))
    }

    fn argument(&mut self) -> Read {
        self.expects("(")?;
        let filter = self.pipe()?;
        self.expects(")")?;
        Ok(filter)
    }
}
