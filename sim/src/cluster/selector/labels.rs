//! Label selectors.

use serde_json::Value;

/// One condition on an object's labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operator {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

// === impl Requirement ===

impl Requirement {
    pub(super) fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        let value = label(&self.key);
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.operator {
            Operator::Exists => value.is_some(),
            Operator::Absent => value.is_none(),
            Operator::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Operator::NotIn(values) => value.is_none_or(|value| values.iter().all(|one| one != value)),
            Operator::Above(bound) => number().is_some_and(|number| number > *bound),
            Operator::Below(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

/// Reads the object form, with `matchLabels` and `matchExpressions`; absent selects nothing.
pub(super) fn from_selector(selector: &Value) -> Option<Vec<Requirement>> {
    let mut requirements = Vec::new();
    for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
        let values = vec![value.as_str().unwrap_or_default().to_owned()];
        requirements.push(Requirement { key: key.clone(), operator: Operator::In(values) });
    }
    for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
        let key = expression.get("key")?.as_str()?.to_owned();
        let values = || {
            let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
            values.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let operator = match expression.get("operator")?.as_str()? {
            "In" => Operator::In(values()),
            "NotIn" => Operator::NotIn(values()),
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::Absent,
            _ => return None,
        };
        requirements.push(Requirement { key, operator });
    }
    Some(requirements)
}

/// Reads the text form, e.g. `app=web,tier in (a, b),!old`.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut requirements = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (term, after) = split_term(rest);
        requirements.push(term_of(term.trim()).map_err(|why| format!("unable to parse requirement: {why}"))?);
        rest = after.trim_start();
        if rest.is_empty() && after_comma(text, term) {
            return Err("found '', expected: identifier after ','".to_owned());
        }
    }
    Ok(requirements)
}

/// Tells whether the text ends with a comma after this last term.
fn after_comma(text: &str, term: &str) -> bool {
    text.trim_end().strip_suffix(',').is_some_and(|before| before.ends_with(term))
}

/// Splits at the first comma that is not within parentheses.
fn split_term(text: &str) -> (&str, &str) {
    let mut depth = 0_i32;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => return (text.get(..at).unwrap_or(""), text.get(at + 1..).unwrap_or("")),
            _ => {}
        }
    }
    (text, "")
}

fn term_of(term: &str) -> Result<Requirement, String> {
    let plain = |key: &str, operator| {
        if key.is_empty() || key.contains([' ', '(', ')', '=', '!', '<', '>']) {
            return Err(format!("found '{key}', expected: !, identifier, or ','"));
        }
        Ok(Requirement { key: key.to_owned(), operator })
    };
    if let Some(key) = term.strip_prefix('!') {
        return plain(key.trim(), Operator::Absent);
    }
    for (sign, negative) in [("!=", true), ("==", false), ("=", false)] {
        if let Some((key, value)) = term.split_once(sign) {
            let values = vec![value.trim().to_owned()];
            let operator = if negative { Operator::NotIn(values) } else { Operator::In(values) };
            return plain(key.trim(), operator);
        }
    }
    for (sign, above) in [(">", true), ("<", false)] {
        if let Some((key, bound)) = term.split_once(sign) {
            let bound = bound.trim();
            let number = bound
                .parse()
                .map_err(|_no_number| format!("values[0]: Invalid value: \"{bound}\": for 'Gt', 'Lt' operators, the value must be an integer"))?;
            return plain(key.trim(), if above { Operator::Above(number) } else { Operator::Below(number) });
        }
    }
    let Some((key, set)) = term.split_once(char::is_whitespace) else {
        return plain(term, Operator::Exists);
    };
    let set = set.trim();
    let values = |list: &str| -> Result<Vec<String>, String> {
        let inner = list.trim().strip_prefix('(').and_then(|inner| inner.strip_suffix(')'));
        let inner = inner.ok_or_else(|| format!("found '{list}' expected: '('"))?;
        Ok(inner.split(',').map(|value| value.trim().to_owned()).collect())
    };
    if let Some(list) = set.strip_prefix("notin") {
        return plain(key, Operator::NotIn(values(list)?));
    }
    if let Some(list) = set.strip_prefix("in") {
        return plain(key, Operator::In(values(list)?));
    }
    let word = set.split_whitespace().next().unwrap_or_default();
    Err(format!("found '{word}', expected: in, notin, =, ==, !=, gt, lt"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(selector: &str, labels: &[(&str, &str)]) -> bool {
        let find = |key: &str| labels.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        parse(selector).unwrap().iter().all(|requirement| requirement.matches(find))
    }

    #[test]
    fn every_operator_selects() {
        let labels = [("app", "web"), ("n", "5")];
        for yes in [
            "",
            "app",
            "app=web",
            "app==web",
            "app!=db",
            "x!=1",
            "!x",
            "app in (web, db)",
            "app notin (db)",
            "n>4,n<6",
        ] {
            assert!(selects(yes, &labels), "{yes}");
        }
        for no in ["x", "app=db", "app!=web", "!app", "app in (db),n", "app notin (web)", "n>5"] {
            assert!(!selects(no, &labels), "{no}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["a=b,", "a b", "a in x", "=x", "a>b"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
