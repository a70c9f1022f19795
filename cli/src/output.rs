//! Printing: the one place that writes to the standard output.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;
use serde_json::Value;

use crate::args::{Format, ManifestFormat};
use crate::failure::Failure;
use crate::text;

/// Rows and columns, printed as Argo CD does: padded to the widest cell and two spaces.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

// === impl Table ===

impl Table {
    /// Makes a table with these heads.
    pub(crate) fn new<const N: usize>(heads: [&str; N]) -> Self {
        Self { rows: vec![heads.map(str::to_owned).to_vec()] }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| text::clean(&cell)).to_vec());
    }

    /// Tells whether it has a row.
    pub(crate) fn has_rows(&self) -> bool {
        self.rows.len() > 1
    }

    /// Gives the text, with a line break at the end.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', (width + 2).saturating_sub(cell.chars().count())));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Adds a line of a key and a value, as Argo CD prints them.
pub(crate) fn field(text: &mut String, key: &str, value: &str) {
    text.extend([format!("{:<20}{}\n", format!("{key}:"), text::clean(value))]);
}

/// Gives a document as JSON or YAML, every string in it cleaned.
pub(crate) fn document<T: Serialize>(format: Format, value: &T) -> Result<String, Failure> {
    let mut value = serde_json::to_value(value).map_err(|error| unshowable(&error))?;
    clean(&mut value);
    match format {
        Format::Table | Format::Json => json(&value),
        Format::Yaml => yaml(&value),
    }
}

fn json(value: &Value) -> Result<String, Failure> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| unshowable(&error))?;
    text.push('\n');
    Ok(text)
}

fn yaml(value: &Value) -> Result<String, Failure> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let mut text =
        serde_saphyr::to_string_with_options(value, options).map_err(|error| unshowable(&error))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

fn unshowable(error: &dyn std::error::Error) -> Failure {
    Failure::Failed(format!("the answer cannot be shown: {error}"))
}

/// Gives objects as they were rendered: YAML documents, or one JSON list. Strings are cleaned where a terminal shows them,
/// and only there: who reads them from a pipe gets what they are.
pub(crate) fn manifests(format: ManifestFormat, mut objects: Vec<Value>) -> Result<String, Failure> {
    if is_shown() {
        objects.iter_mut().for_each(clean);
    }
    match format {
        ManifestFormat::Json => json(&Value::Array(objects)),
        ManifestFormat::Yaml => {
            let documents: Result<Vec<String>, Failure> = objects.iter().map(yaml).collect();
            Ok(documents?.join("---\n"))
        }
    }
}

/// Gives a document as one line of JSON, every string in it cleaned.
pub(crate) fn line<T: Serialize>(value: &T) -> Result<String, Failure> {
    let mut value = serde_json::to_value(value).map_err(|error| unshowable(&error))?;
    clean(&mut value);
    Ok(format!("{value}\n"))
}

fn clean(value: &mut Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(string) => *string = text::clean_lines(string),
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::Object(fields) => {
            let cleaned = std::mem::take(fields).into_iter().map(|(key, mut value)| {
                clean(&mut value);
                (text::clean(&key), value)
            });
            *fields = cleaned.collect();
        }
    }
}

/// Prints text that is clean.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Writes bytes of a file, which no terminal can show.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(())
}

/// Tells whether a terminal would show what is printed.
pub(crate) fn is_shown() -> bool {
    io::stdout().is_terminal()
}

/// Prints a line of news beside the output.
pub(crate) fn note(text: &str) -> Result<(), Failure> {
    writeln!(io::stderr(), "{}", text::clean_lines(text))?;
    Ok(())
}

/// Prints a picture that replaces the one before, where the output is a terminal.
pub(crate) fn picture(text: &str) -> Result<(), Failure> {
    let clear = if io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "" };
    print(&format!("{clear}{text}\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_padded_to_the_widest_cell() {
        let mut table = Table::new(["NAME", "STATUS"]);
        table.row(["web".to_owned(), "Synced".to_owned()]);
        table.row(["a-long-name\x1b[31m".to_owned(), String::new()]);
        assert_eq!(table.render(), "NAME         STATUS\nweb          Synced\na-long-name\n");
    }

    #[test]
    fn documents_are_clean_in_every_string() {
        let value = json!({"k\u{202e}ey": ["a\x1b[2Jb", {"n": "x\ny"}], "size": 1});
        assert_eq!(line(&value).unwrap(), "{\"key\":[\"ab\",{\"n\":\"x\\ny\"}],\"size\":1}\n");
    }

    #[test]
    fn yaml_says_what_json_says() {
        let value = json!({
            "plain": "web", "yes": "yes", "octal": "0777", "null": "null", "number": "1e3", "under": "1_000",
            "empty": "", "lines": "a\nb\n", "colon": "a: b", "list": [], "map": {}, "n": 1.5, "none": null,
        });
        let yaml = document(Format::Yaml, &value).unwrap();
        let documents =
            argosy_core::yaml::parse_documents(yaml.as_bytes(), &argosy_core::yaml::Limits::default());
        assert_eq!(documents.unwrap()[0].value, value, "{yaml}");
    }
}
