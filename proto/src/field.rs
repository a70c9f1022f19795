//! Checks of single fields.

use argosy_core::ids::AppId;

use crate::error::FrameError;
use crate::link::limits;

/// Reads exactly `N` bytes.
pub(crate) fn fixed<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], FrameError> {
    <[u8; N]>::try_from(bytes).map_err(|_wrong_length| FrameError::Length {
        field,
        expected: N,
        got: bytes.len(),
    })
}

/// Reads exactly `N` bytes, or none.
pub(crate) fn optional<const N: usize>(
    field: &'static str,
    bytes: &[u8],
) -> Result<Option<[u8; N]>, FrameError> {
    if bytes.is_empty() { Ok(None) } else { fixed(field, bytes).map(Some) }
}

/// Takes a message field that must be there.
pub(crate) fn required<T>(field: &'static str, value: Option<T>) -> Result<T, FrameError> {
    value.ok_or(FrameError::Missing { field })
}

/// Takes bytes that must not be empty.
pub(crate) fn filled(field: &'static str, bytes: Vec<u8>) -> Result<Vec<u8>, FrameError> {
    if bytes.is_empty() { Err(FrameError::Empty { field }) } else { Ok(bytes) }
}

/// Takes text of at most `limit` bytes.
pub(crate) fn text(field: &'static str, text: String, limit: usize) -> Result<String, FrameError> {
    if text.len() > limit {
        return Err(FrameError::TooLong { field, limit, got: text.len() });
    }
    Ok(text)
}

/// Takes a word: text without white space and control characters.
pub(crate) fn word(field: &'static str, word: String, limit: usize) -> Result<String, FrameError> {
    if word.chars().any(|character| character.is_whitespace() || character.is_control()) {
        return Err(FrameError::NotAName { field });
    }
    text(field, word, limit)
}

/// Checks the number of elements.
pub(crate) fn count(field: &'static str, got: usize, limit: usize) -> Result<(), FrameError> {
    if got > limit { Err(FrameError::TooMany { field, limit, got }) } else { Ok(()) }
}

/// Reads an app's name; an empty namespace is the default one.
pub(crate) fn app(namespace: String, name: String) -> Result<AppId, FrameError> {
    if name.is_empty() {
        return Err(FrameError::Empty { field: "app.name" });
    }
    let namespace = word("app.namespace", namespace, limits::NAME)?;
    let name = word("app.name", name, limits::NAME)?;
    for (field, text) in [("app.namespace", &namespace), ("app.name", &name)] {
        if text.contains('/') {
            return Err(FrameError::NotAName { field });
        }
    }
    Ok(AppId::new(namespace, name))
}

/// Gives an app's namespace as it travels: the default one is empty.
pub(crate) fn namespace_of(app: &AppId) -> String {
    if app.namespace == AppId::DEFAULT_NAMESPACE { String::new() } else { app.namespace.to_string() }
}

/// Cuts text to at most `limit` bytes at the border of a character.
pub(crate) fn cut(mut text: String, limit: usize) -> String {
    let end = text.floor_char_boundary(limit);
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("aé".to_owned(), 2), "a");
        assert_eq!(cut("aé".to_owned(), 3), "aé");
    }

    #[test]
    fn names_with_separators_are_no_names() {
        assert_eq!(app(String::new(), "web".to_owned()), Ok(AppId::new("argocd", "web")));
        assert_eq!(
            app("a/b".to_owned(), "c".to_owned()),
            Err(FrameError::NotAName { field: "app.namespace" })
        );
        assert_eq!(app("a".to_owned(), "c\n".to_owned()), Err(FrameError::NotAName { field: "app.name" }));
        assert_eq!(app("a".to_owned(), String::new()), Err(FrameError::Empty { field: "app.name" }));
    }
}
