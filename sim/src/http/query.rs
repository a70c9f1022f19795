//! Query parameters, read as the API server reads them.

use super::path::percent_decoded;

/// The parameters of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

/// A parameter that is no number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("strconv.ParseInt: parsing {0:?}: invalid syntax")]
pub(crate) struct NotANumber(String);

// === impl Query ===

impl Query {
    /// Reads what follows the question mark.
    pub(crate) fn of(text: &str) -> Self {
        let decoded = |text: &str| percent_decoded(&text.replace('+', " "));
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        Self { pairs: pairs.collect() }
    }

    /// Gives the first value of a parameter, empty without one.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Gives all values of a parameter.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Reads a switch; one without a value is on.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }

    /// Reads a number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, NotANumber> {
        let value = self.get(name).filter(|value| !value.is_empty());
        value.map(|value| value.parse().map_err(|_why| NotANumber(value.to_owned()))).transpose()
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_and_numbers_are_read_as_the_api_server_does() {
        let query = Query::of(
            "watch=1&a=false&b&limit=5&bad=x&labelSelector=a%3Db%2Cc+in+%28d%29&dryRun=All&dryRun=x",
        );
        assert!(query.flag("watch") && query.flag("b") && !query.flag("a") && !query.flag("none"));
        assert_eq!(query.number("limit"), Ok(Some(5)));
        assert_eq!(query.number("none"), Ok(None));
        assert_eq!(
            query.number("bad").unwrap_err().to_string(),
            "strconv.ParseInt: parsing \"x\": invalid syntax"
        );
        assert_eq!(query.text("labelSelector"), "a=b,c in (d)");
        assert_eq!(query.all("dryRun").collect::<Vec<_>>(), ["All", "x"]);
    }
}
