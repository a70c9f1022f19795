//! Which labels applications are to have, as Kubernetes selects by them.

use std::collections::BTreeMap;
use std::str::FromStr;

/// What labels are to say, all of it; nothing is said of none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LabelSelector {
    requirements: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    is: Is,
}

/// How a label is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Is {
    There,
    NotThere,
    In(Vec<String>),
    /// One that is not there will do.
    NotIn(Vec<String>),
}

// === impl LabelSelector ===

impl LabelSelector {
    /// Tells whether labels are as is said.
    pub(crate) fn selects(&self, labels: &BTreeMap<&str, &str>) -> bool {
        self.requirements.iter().all(|Requirement { key, is }| {
            let value = labels.get(key.as_str());
            let is_one = |values: &[String]| value.is_some_and(|value| values.iter().any(|of| of == value));
            match is {
                Is::There => value.is_some(),
                Is::NotThere => value.is_none(),
                Is::In(values) => is_one(values),
                Is::NotIn(values) => !is_one(values),
            }
        })
    }
}

impl FromStr for LabelSelector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let requirements = if text.trim().is_empty() {
            Vec::new()
        } else {
            parts(text).into_iter().map(requirement).collect::<Option<_>>().ok_or(
                "expected labels like team=shop, team!=shop, team in (shop,search), team notin (shop), team or !team, with \
                 commas between them",
            )?
        };
        Ok(Self { requirements })
    }
}

/// Splits a text at the commas that are in no parentheses.
fn parts(text: &str) -> Vec<&str> {
    let mut inside = false;
    let split = text.split(|character| {
        match character {
            '(' => inside = true,
            ')' => inside = false,
            _ => {}
        }
        character == ',' && !inside
    });
    split.collect()
}

fn requirement(text: &str) -> Option<Requirement> {
    let text = text.trim();
    let make = |key: &str, is: Is| {
        let key = key.trim();
        (!key.is_empty() && is_word(key)).then(|| Requirement { key: key.to_owned(), is })
    };
    if let Some(key) = text.strip_prefix('!') {
        return make(key, Is::NotThere);
    }
    for (sign, not) in [("!=", true), ("==", false), ("=", false)] {
        if let Some((key, value)) = text.split_once(sign) {
            let value = value.trim();
            let values = is_word(value).then(|| vec![value.to_owned()])?;
            return make(key, if not { Is::NotIn(values) } else { Is::In(values) });
        }
    }
    let Some((key, rest)) = text.split_once(char::is_whitespace) else { return make(text, Is::There) };
    let (word, values) = rest.split_once('(')?;
    let values: Vec<String> =
        values.trim_end().strip_suffix(')')?.split(',').map(|value| value.trim().to_owned()).collect();
    if !values.iter().all(|value| is_word(value)) {
        return None;
    }
    match word.trim() {
        "in" => make(key, Is::In(values)),
        "notin" => make(key, Is::NotIn(values)),
        _ => None,
    }
}

/// Tells whether a text has only what keys and values of labels have.
fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_selected_as_kubernetes_selects_them() {
        let labels = BTreeMap::from([("team", "shop"), ("example.com/tier", "web"), ("empty", "")]);
        for (text, selects) in [
            ("", true),
            ("team", true),
            ("!team", false),
            ("other", false),
            ("!other", true),
            ("team=shop", true),
            ("team == shop", true),
            ("team=search", false),
            ("other=shop", false),
            ("team!=shop", false),
            ("team!=search", true),
            ("other!=shop", true),
            ("empty=", true),
            ("team in (search, shop)", true),
            ("team in(search,shop),!other", true),
            ("team notin (search,shop)", false),
            ("other notin (shop)", true),
            ("team=shop, example.com/tier=web", true),
            ("team=shop,example.com/tier=db", false),
        ] {
            let selector: LabelSelector = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(selector.selects(&labels), selects, "{text}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for text in ["team=shop,", "=shop", "a b", "team in shop", "team in (a", "team > 3", "a=b=c", "! a b"]
        {
            assert!(text.parse::<LabelSelector>().is_err(), "{text}");
        }
    }
}
