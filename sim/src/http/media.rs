//! Media types: what a client wants to read, and what it sent.

/// How a reply is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Yaml,
}

/// In which form a client wants objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As they are.
    Whole,
    /// Rows of a table.
    Table,
    /// Metadata of one object.
    Partial,
    /// Metadata of a list's objects.
    PartialList,
}

/// In which form a client wants discovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiscoveryForm {
    /// Group by group.
    Legacy,
    /// All at once.
    Aggregated,
}

/// What a client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) encoding: Encoding,
    pub(crate) form: Form,
}

/// What a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Json,
    Yaml,
    Protobuf,
    JsonPatch,
    MergePatch,
    StrategicPatch,
    ApplyPatch,
}

/// One clause of an `Accept` header.
#[derive(Debug, Clone, PartialEq)]
struct Clause<'a> {
    media: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f32,
}

// === impl Encoding ===

impl Encoding {
    /// Gives the media type.
    pub(crate) fn media(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
        }
    }

    fn of(media: &str) -> Option<Self> {
        match media {
            "application/json" | "application/*" | "*/*" => Some(Self::Json),
            "application/yaml" => Some(Self::Yaml),
            _ => None,
        }
    }
}

// === impl Accepted ===

impl Accepted {
    /// Chooses the first clause that can be served, as the API server does; without a header it is plain JSON.
    pub(crate) fn negotiate(header: &str) -> Option<Self> {
        if header.trim().is_empty() {
            return Some(Self { encoding: Encoding::Json, form: Form::Whole });
        }
        clauses(header).iter().find_map(|clause| {
            let encoding = Encoding::of(clause.media)?;
            let form = match (clause.parameter("as"), clause.parameter("g"), clause.parameter("v")) {
                ("", _, _) => Form::Whole,
                ("Table", "meta.k8s.io", "v1") => Form::Table,
                ("PartialObjectMetadata", "meta.k8s.io", "v1") => Form::Partial,
                ("PartialObjectMetadataList", "meta.k8s.io", "v1") => Form::PartialList,
                _ => return None,
            };
            Some(Self { encoding, form })
        })
    }
}

// === impl DiscoveryForm ===

impl DiscoveryForm {
    /// Chooses the first clause that can be served.
    pub(crate) fn negotiate(header: &str) -> Option<Self> {
        if header.trim().is_empty() {
            return Some(Self::Legacy);
        }
        clauses(header).iter().find_map(|clause| {
            Encoding::of(clause.media).filter(|encoding| *encoding == Encoding::Json)?;
            match (clause.parameter("as"), clause.parameter("g"), clause.parameter("v")) {
                ("", _, _) => Some(Self::Legacy),
                ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => Some(Self::Aggregated),
                _ => None,
            }
        })
    }

    /// Gives the media type of the answer.
    pub(crate) fn media(self) -> &'static str {
        match self {
            Self::Legacy => "application/json",
            Self::Aggregated => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        }
    }
}

// === impl Content ===

impl Content {
    /// Reads a `Content-Type` header; none is JSON.
    pub(crate) fn of(header: &str) -> Option<Self> {
        match header.split(';').next().unwrap_or_default().trim() {
            "" | "application/json" => Some(Self::Json),
            "application/yaml" => Some(Self::Yaml),
            "application/vnd.kubernetes.protobuf" => Some(Self::Protobuf),
            "application/json-patch+json" => Some(Self::JsonPatch),
            "application/merge-patch+json" => Some(Self::MergePatch),
            "application/strategic-merge-patch+json" => Some(Self::StrategicPatch),
            "application/apply-patch+yaml" => Some(Self::ApplyPatch),
            _ => None,
        }
    }
}

// === impl Clause ===

impl Clause<'_> {
    fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| *value)
    }

    /// The more is said, the earlier it counts.
    fn generality(&self) -> u8 {
        match self.media {
            "*/*" => 2,
            media if media.ends_with("/*") => 1,
            _ => 0,
        }
    }
}

/// Reads the clauses, the most wanted one first.
fn clauses(header: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<_> = header
        .split(',')
        .filter_map(|text| {
            let mut parts = text.split(';').map(str::trim);
            let media = parts.next().filter(|media| !media.is_empty())?;
            let mut clause = Clause { media, parameters: Vec::new(), quality: 1.0 };
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                if name == "q" {
                    clause.quality = value.parse().unwrap_or(1.0);
                } else {
                    clause.parameters.push((name, value));
                }
            }
            (clause.quality > 0.0).then_some(clause)
        })
        .collect();
    // Stable: equals keep the client's order.
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality).then_with(|| a.generality().cmp(&b.generality())));
    clauses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_clause_that_can_be_served_is_taken() {
        let of = |header| Accepted::negotiate(header).map(|accepted| accepted.form);
        assert_eq!(of(""), Some(Form::Whole));
        assert_eq!(of("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"), Some(Form::Table));
        assert_eq!(of("application/json;as=Table;v=v9;g=meta.k8s.io,application/json"), Some(Form::Whole));
        assert_eq!(
            of("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;q=0.9"),
            Some(Form::Partial)
        );
        assert_eq!(of("application/vnd.kubernetes.protobuf,application/json"), Some(Form::Whole));
        assert_eq!(of("text/html"), None);
        assert_eq!(of("application/vnd.kubernetes.protobuf, */*"), Some(Form::Whole));
    }

    #[test]
    fn yaml_is_written_only_when_it_is_preferred() {
        let of = |header| Accepted::negotiate(header).map(|accepted| accepted.encoding);
        assert_eq!(of("application/yaml"), Some(Encoding::Yaml));
        assert_eq!(of("application/yaml;q=0.1, application/json"), Some(Encoding::Json));
        assert_eq!(of("*/*, application/yaml"), Some(Encoding::Yaml));
    }

    #[test]
    fn discovery_is_aggregated_for_those_who_ask() {
        let wanted = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                      application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
        assert_eq!(DiscoveryForm::negotiate(wanted), Some(DiscoveryForm::Aggregated));
        assert_eq!(DiscoveryForm::negotiate("application/json"), Some(DiscoveryForm::Legacy));
        assert_eq!(DiscoveryForm::negotiate("application/yaml"), None);
    }

    #[test]
    fn a_body_s_type_is_read_without_its_parameters() {
        assert_eq!(Content::of("application/json; charset=utf-8"), Some(Content::Json));
        assert_eq!(Content::of("application/apply-patch+yaml"), Some(Content::ApplyPatch));
        assert_eq!(Content::of("application/cbor"), None);
    }
}
