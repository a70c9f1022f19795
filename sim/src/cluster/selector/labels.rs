//! Label selectors.

mod parse;

use serde_json::Value;

pub(super) use self::parse::parse;

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
    fn nothing_between_commas_is_the_empty_value() {
        for yes in
            ["app in (,web)", "app in (x,,web)", "in in (in,notin)", "empty in ()", "empty=", "empty in (a,)"]
        {
            assert!(selects(yes, &[("app", "web"), ("in", "notin"), ("empty", "")]), "{yes}");
        }
    }

    #[test]
    fn nonsense_is_refused_in_the_words_of_the_api_server() {
        let within = [
            ("a in (", "found '', expected: ',', ')' or identifier"),
            ("a in b", "found 'b' expected: '('"),
            ("a in (b,", "found '', expected: ',', or identifier"),
            ("a in (b c)", "found 'c', expected: ',' or ')'"),
            ("!!a", "found '!', expected: identifier"),
            ("a=(", "found '(', expected: identifier"),
            ("a!b", "found '!', expected: in, notin, =, ==, !=, gt, lt"),
            (
                "a>b",
                "values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be an integer",
            ),
        ];
        for (bad, why) in within {
            assert_eq!(parse(bad), Err(format!("unable to parse requirement: {why}")), "{bad}");
        }
        for (bad, why) in [
            ("a=b,", "found '', expected: identifier after ','"),
            ("a,,b", "found ',', expected: identifier after ','"),
            ("!=", "found '!=', expected: !, identifier, or 'end of string'"),
            ("!a=b", "found '=', expected: ',' or 'end of string'"),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ] {
            assert_eq!(parse(bad), Err(why.to_owned()), "{bad}");
        }
    }

    #[test]
    fn keys_and_values_have_to_be_those_of_labels() {
        let refusal = |bad: &str| parse(bad).unwrap_err();
        assert!(refusal("a=//").starts_with(
            "unable to parse requirement: values[0][a]: Invalid value: \"//\": a valid label must be an empty string"
        ));
        assert!(
            refusal("a in (b/,c//)")
                .starts_with("unable to parse requirement: [values[0][a]: Invalid value: \"b/\": ")
        );
        assert!(refusal("a/b/c").starts_with(
            "unable to parse requirement: <nil>: Invalid value: \"a/b/c\": a valid label key must consist of"
        ));
        assert!(refusal("-a").starts_with(
            "unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist of"
        ));
    }
}
