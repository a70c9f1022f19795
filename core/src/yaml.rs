//! YAML and JSON as Kubernetes reads them, within limits.
//!
//! There is one YAML module for all that people write. It reads scalars by the rules of `kubectl` (YAML 1.1 as Go's
//! parser has it: `yes` is true, `0777` is 511, `1_000` is 1000, integral floats are integers), takes the last of two
//! equal keys with a warning, and refuses what it does not know. A file is split at its `---` lines before it is
//! parsed, as Kubernetes does, so that one bad document is told apart from its neighbours. Every error and warning
//! names its document and line.

mod build;
mod scalar;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use build::Places;

/// What a file may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file.
    pub file_bytes: usize,
    /// Bytes of one document.
    pub document_bytes: usize,
    /// Documents of one file.
    pub documents: usize,
    /// Nesting of maps and lists.
    pub depth: usize,
    /// Bytes that aliases may add to one document.
    pub alias_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 10 << 20,
            document_bytes: 2 << 20,
            documents: 10_000,
            depth: 64,
            alias_bytes: 1 << 20,
        }
    }
}

/// One document of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Which one, from 1; documents that hold nothing are not counted.
    pub index: usize,
    /// Line of its first node, from 1.
    pub line: usize,
    /// Its value, never null.
    pub value: Value,
    /// What is legal but surely not meant.
    pub warnings: Vec<YamlWarning>,
}

/// The one document of a file, with the places of its fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// The document.
    pub document: Document,
    places: BTreeMap<String, usize>,
}

/// Something in a document that is legal but surely not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YamlWarning {
    /// Line, from 1.
    pub line: usize,
    /// Path of the field.
    pub field: String,
    /// What is odd about it.
    pub message: String,
}

/// A file or document that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct YamlError {
    /// Which document, from 1, where one is at fault.
    pub document: Option<usize>,
    /// Which line, from 1, where one is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub kind: YamlErrorKind,
}

/// What is wrong with a file or document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum YamlErrorKind {
    /// The bytes are no text.
    #[error("not UTF-8")]
    NotUtf8,
    /// A limit is exceeded.
    #[error("more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The most that is read.
        limit: usize,
    },
    /// The text is not YAML or JSON.
    #[error("{0}")]
    Syntax(String),
    /// The text is YAML that Kubernetes could not use, or that is refused by name.
    #[error("{field}: {why}")]
    Value {
        /// Path of the field; `.` for the document itself.
        field: String,
        /// What is wrong.
        why: String,
    },
}

// === impl Placed ===

impl Placed {
    /// Gives the line of a field, from 1; of one that is not there the line of what it would stand in.
    pub fn line_of(&self, field: &str) -> usize {
        let mut path = field;
        loop {
            if let Some(line) = self.places.get(path) {
                return *line;
            }
            let Some(end) = path.rfind(['.', '[']) else { return self.document.line };
            path = path.get(..end).unwrap_or_default();
        }
    }
}

// === impl YamlError ===

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(document) = self.document {
            write!(f, "document {document}, ")?;
        }
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        fmt::Display::fmt(&self.kind, f)
    }
}

impl YamlError {
    fn of_file(kind: YamlErrorKind) -> Self {
        Self { document: None, line: None, kind }
    }
}

/// Reads all documents of a YAML file; the first error is the file's.
pub fn parse_documents(bytes: &[u8], limits: &Limits) -> Result<Vec<Document>, YamlError> {
    parse_each(bytes, limits)?.into_iter().collect()
}

/// Reads all documents of a YAML file, each by itself: a bad one harms no other. The outer error means that the file as
/// a whole cannot be told apart into documents.
pub fn parse_each(bytes: &[u8], limits: &Limits) -> Result<Vec<Result<Document, YamlError>>, YamlError> {
    let text = text_of(bytes, limits)?;
    let mut documents = Vec::new();
    for chunk in chunks(text) {
        let index = documents.len() + 1;
        if index > limits.documents {
            let kind = YamlErrorKind::Limit { what: "documents", limit: limits.documents };
            return Err(YamlError { document: Some(index), line: Some(chunk.line), kind });
        }
        match parse_chunk(&chunk, index, limits, Places::Unnoted) {
            Ok(Some(placed)) => documents.push(Ok(placed.document)),
            Ok(None) => {}
            Err(error) => documents.push(Err(error)),
        }
    }
    Ok(documents)
}

/// Reads a file of exactly one document, and where its fields stand.
pub fn parse_one(bytes: &[u8], limits: &Limits) -> Result<Placed, YamlError> {
    let text = text_of(bytes, limits)?;
    let refuse = |line, why: String| {
        let kind = YamlErrorKind::Value { field: ".".to_owned(), why };
        YamlError { document: None, line, kind }
    };
    let chunks = chunks(text);
    let [chunk] = chunks.as_slice() else {
        let line = chunks.get(1).map(|chunk| chunk.line);
        return Err(refuse(line, format!("must hold exactly one document, and holds {}", chunks.len())));
    };
    let none = || refuse(Some(chunk.line), "must hold exactly one document, and holds none".to_owned());
    parse_chunk(chunk, 1, limits, Places::Noted)?.ok_or_else(none)
}

/// Reads a JSON file: exactly one value, which must be an object.
pub fn parse_json(bytes: &[u8], limits: &Limits) -> Result<Document, YamlError> {
    let text = text_of(bytes, limits)?;
    if text.len() > limits.document_bytes {
        let kind = YamlErrorKind::Limit { what: "bytes in a document", limit: limits.document_bytes };
        return Err(YamlError { document: Some(1), line: Some(1), kind });
    }
    let value: Value = serde_json::from_str(text).map_err(|error| YamlError {
        document: Some(1),
        line: Some(error.line()),
        kind: YamlErrorKind::Syntax(error.to_string()),
    })?;
    let refuse = |why: &str| YamlError {
        document: Some(1),
        line: Some(1),
        kind: YamlErrorKind::Value { field: ".".to_owned(), why: why.to_owned() },
    };
    if !value.is_object() {
        return Err(refuse("a JSON file holds exactly one object"));
    }
    if build::depth(&value) > limits.depth {
        return Err(YamlError {
            document: Some(1),
            line: None,
            kind: YamlErrorKind::Limit { what: "levels of nesting", limit: limits.depth },
        });
    }
    Ok(Document { index: 1, line: 1, value: build::fold_numbers(value), warnings: Vec::new() })
}

/// One document's text and the line that it begins at.
struct Chunk<'a> {
    text: &'a str,
    line: usize,
}

fn text_of<'a>(bytes: &'a [u8], limits: &Limits) -> Result<&'a str, YamlError> {
    if bytes.len() > limits.file_bytes {
        let kind = YamlErrorKind::Limit { what: "bytes in a file", limit: limits.file_bytes };
        return Err(YamlError::of_file(kind));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
        YamlError { document: None, line: Some(line), kind: YamlErrorKind::NotUtf8 }
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Splits a file at its `---` lines; each chunk keeps its own marker line, which may carry content.
fn chunks(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let (mut start, mut start_line, mut offset) = (0, 1, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if is_marker(line) && offset > start {
            chunks.push(Chunk { text: text.get(start..offset).unwrap_or_default(), line: start_line });
            (start, start_line) = (offset, number + 1);
        }
        offset += line.len();
    }
    chunks.push(Chunk { text: text.get(start..).unwrap_or_default(), line: start_line });
    chunks.retain(|chunk| !is_blank(chunk.text));
    chunks
}

fn is_marker(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Tells whether a chunk holds nothing but its marker, comments and blank lines.
fn is_blank(text: &str) -> bool {
    text.lines().enumerate().all(|(number, line)| {
        let line = if number == 0 && is_marker(line) { line.get(3..).unwrap_or_default() } else { line };
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line == "..."
    })
}

fn parse_chunk(
    chunk: &Chunk<'_>,
    index: usize,
    limits: &Limits,
    places: Places,
) -> Result<Option<Placed>, YamlError> {
    let at = |line: usize, kind| YamlError { document: Some(index), line: Some(chunk.line + line - 1), kind };
    if chunk.text.len() > limits.document_bytes {
        let kind = YamlErrorKind::Limit { what: "bytes in a document", limit: limits.document_bytes };
        return Err(at(1, kind));
    }
    let built =
        build::build(chunk.text, limits, places).map_err(|failure| at(failure.line.max(1), failure.kind))?;
    if built.value.is_null() {
        return Ok(None);
    }
    let offset = chunk.line - 1;
    let mut warnings = built.warnings;
    for warning in &mut warnings {
        warning.line += offset;
    }
    let places = built.places.into_iter().map(|(path, line)| (path, line + offset)).collect();
    let document = Document { index, line: built.line + offset, value: built.value, warnings };
    Ok(Some(Placed { document, places }))
}
