//! Complete, consistent lists of a kind's objects.
//!
//! A list comes in pages; it counts when all of them came and all are of one version. Objects are reduced to their
//! metadata while a page is read, so that only one is in memory as a whole.

use std::fmt;

use argosy_core::cluster::{ApiError, LiveMeta, REQUEST_DEADLINE, Subject, Watched};
use argosy_core::health::Assessor;
use argosy_core::ownership;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::discovery::Endpoint;
use super::failure::Failure;
use super::judge::{Judge, Size};
use super::path;
use super::transport::{Call, METADATA_LIST, Transport, WHOLE};

/// Objects a page, as metadata.
const PAGE: usize = 500;
/// Objects a page, whole.
const WHOLE_PAGE: usize = 100;
/// How often a list is begun again because it expired between two pages.
const RESTARTS: usize = 3;

/// A complete list.
#[derive(Debug)]
pub(super) struct List {
    pub(super) resource_version: u64,
    pub(super) objects: Vec<LiveMeta>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Page {
    resource_version: String,
    next: String,
    objects: Vec<LiveMeta>,
}

/// Why a run over the pages gave no list.
enum Broken {
    /// The pages are no longer of one version.
    Expired,
    /// A page does not fit into memory's limit.
    TooLarge,
    Failed(ApiError),
}

/// Lists all objects that a watch is about.
pub(super) async fn list(
    transport: &Transport,
    judge: &Judge,
    endpoint: &Endpoint,
    watched: &Watched,
) -> Result<List, ApiError> {
    let mut page = if judge.shows_whole(watched) { WHOLE_PAGE } else { PAGE };
    let mut restarts = 0;
    loop {
        match pages(transport, judge, endpoint, watched, page).await {
            Ok(list) => return Ok(list),
            Err(Broken::TooLarge) if page > 1 => page /= 2,
            Err(Broken::Expired) if restarts < RESTARTS => restarts += 1,
            Err(Broken::Expired) => {
                let message = format!("lists of {watched} expire before they are complete");
                return Err(ApiError::Unavailable { message, retry_after: None });
            }
            Err(Broken::TooLarge) => {
                return Err(ApiError::Refused(format!("a single {watched} is beyond the limit")));
            }
            Err(Broken::Failed(error)) => return Err(error),
        }
    }
}

async fn pages(
    transport: &Transport,
    judge: &Judge,
    endpoint: &Endpoint,
    watched: &Watched,
    limit: usize,
) -> Result<List, Broken> {
    let kind = watched.kind();
    let accept = if judge.shows_whole(watched) { WHOLE } else { METADATA_LIST };
    let base = format!("{}&limit={limit}", path::selection(endpoint, watched).map_err(Broken::Failed)?);
    let (mut version, mut objects, mut next) = (None::<String>, Vec::new(), String::new());
    loop {
        let path =
            if next.is_empty() { base.clone() } else { format!("{base}&continue={}", path::segment(&next)) };
        let reply = transport.call(Call::get(path, accept), REQUEST_DEADLINE).await.map_err(broken)?;
        let of = watched.clone();
        let page = judge.run(&kind, Size::Page, move |assessor| read(&reply.body, &of, assessor)).await;
        let page = page.map_err(Broken::Failed)?.map_err(|error| {
            Broken::Failed(ApiError::Unreachable(format!("its list of {kind} cannot be read: {error}")))
        })?;
        if version.as_ref().is_some_and(|version| *version != page.resource_version) {
            return Err(Broken::Expired);
        }
        objects.extend(page.objects);
        if page.next.is_empty() {
            let resource_version = page.resource_version.parse().map_err(|error| {
                Broken::Failed(ApiError::Unreachable(format!(
                    "its list of {kind} has no usable version: {error}"
                )))
            })?;
            return Ok(List { resource_version, objects });
        }
        version = Some(page.resource_version);
        next = page.next;
    }
}

fn broken(failure: Failure) -> Broken {
    if failure.has_code(410) {
        return Broken::Expired;
    }
    match failure {
        Failure::TooLarge { .. } => Broken::TooLarge,
        failure @ (Failure::Transport(_) | Failure::Refused(_)) => {
            Broken::Failed(failure.classify(Subject::default()))
        }
    }
}

fn read(body: &[u8], watched: &Watched, assessor: &Assessor<'_>) -> Result<Page, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let page = PageOf(watched, assessor).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(page)
}

/// Reads a page of what a watch is about.
struct PageOf<'a>(&'a Watched, &'a Assessor<'a>);

/// Reads the items of a page.
struct ItemsOf<'a>(&'a Watched, &'a Assessor<'a>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    r#continue: String,
}

impl<'de> DeserializeSeed<'de> for PageOf<'_> {
    type Value = Page;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Page, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PageOf<'_> {
    type Value = Page;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Page, A::Error> {
        let (mut metadata, mut objects) = (None::<ListMetadata>, None);
        while let Some(field) = map.next_key::<String>()? {
            match field.as_str() {
                "metadata" => metadata = Some(map.next_value()?),
                "items" => objects = Some(map.next_value_seed(ItemsOf(self.0, self.1))?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let metadata = metadata.ok_or_else(|| A::Error::missing_field("metadata"))?;
        let objects = objects.ok_or_else(|| A::Error::missing_field("items"))?;
        Ok(Page { resource_version: metadata.resource_version, next: metadata.r#continue, objects })
    }
}

impl<'de> DeserializeSeed<'de> for ItemsOf<'_> {
    type Value = Vec<LiveMeta>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<LiveMeta>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ItemsOf<'_> {
    type Value = Vec<LiveMeta>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("objects")
    }

    /// An empty list may be written as `null`.
    fn visit_unit<E>(self) -> Result<Vec<LiveMeta>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<LiveMeta>, A::Error> {
        let mut objects = Vec::new();
        let (kind, part) = (self.0.kind(), self.0.part());
        while let Some(object) = items.next_element::<Value>()? {
            objects.push(ownership::read(&object, &kind, part, self.1).map_err(A::Error::custom)?);
        }
        Ok(objects)
    }
}

#[cfg(test)]
mod tests {
    use argosy_core::key::GroupKind;

    use super::*;

    fn read_page(body: &[u8]) -> Result<Page, serde_json::Error> {
        read(body, &Watched::Kind(GroupKind::new("", "ConfigMap")), &Assessor::default())
    }

    #[test]
    fn a_page_is_read_with_its_version_and_what_follows() {
        let body =
            br#"{"kind":"PartialObjectMetadataList","metadata":{"resourceVersion":"398","continue":"abc"},
            "items":[{"metadata":{"name":"a","namespace":"n","uid":"u","resourceVersion":"217"}}]}"#;
        let page = read_page(body).unwrap();
        assert_eq!((page.resource_version.as_str(), page.next.as_str()), ("398", "abc"));
        assert_eq!(page.objects[0].key.to_string(), "/ConfigMap/n/a");
        assert_eq!(page.objects[0].resource_version, 217);
        let empty = read_page(br#"{"metadata":{"resourceVersion":"1"},"items":null}"#).unwrap();
        assert!(empty.objects.is_empty() && empty.next.is_empty());
    }

    #[test]
    fn half_a_page_and_an_object_without_identity_are_no_page() {
        for body in [
            r#"{"metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"a","uid":"u","resourceVersion":"2"}}"#,
            r#"{"metadata":{"resourceVersion":"1"}}"#,
            r#"{"items":[]}"#,
            r#"{"metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"a"}}]}"#,
            r#"{"metadata":{"resourceVersion":"1"},"items":[]} x"#,
        ] {
            assert!(read_page(body.as_bytes()).is_err(), "{body}");
        }
    }
}
