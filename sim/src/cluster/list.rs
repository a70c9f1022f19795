//! Lists: all of a selection at one version, in pages.

use std::sync::{Arc, LazyLock};

use data_encoding::{BASE64URL_NOPAD, Encoding};
use serde_json::{Value, json};

use super::call::ListOptions;
use super::reply::{Body, List, Reply};
use super::selector::Selection;
use super::status::{Cause, Status};
use super::store::Key;
use super::{Cluster, Object, place_of};
use crate::kinds::Resource;

/// The form of the tokens that continue a list.
const TOKEN_VERSION: &str = "meta.k8s.io/v1";

/// How tokens are read: bits that nobody needs may be anything.
static LENIENT: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = BASE64URL_NOPAD.specification();
    specification.check_trailing_bits = false;
    specification.encoding().unwrap_or(BASE64URL_NOPAD)
});

/// Where a page begins.
struct Place {
    version: u64,
    after: Key,
}

// === impl Cluster ===

impl Cluster {
    /// Lists what is selected; an empty namespace means all of them.
    pub(super) fn list(
        &self,
        resource: &Resource,
        namespace: &str,
        options: &ListOptions,
    ) -> Result<Reply, Status> {
        let selection =
            Selection::parse(resource, namespace, &options.label_selector, &options.field_selector)?;
        let list = self.select(resource, &selection, options)?;
        Ok(Reply { code: 200, body: Body::List(list), warnings: Vec::new() })
    }

    fn select(
        &self,
        resource: &Resource,
        selection: &Selection,
        options: &ListOptions,
    ) -> Result<List, Status> {
        let place = self.page(options)?;
        let version = place.as_ref().map_or(self.store.version(), |place| place.version);
        let wanted = |(key, object): &(&Key, &Arc<Object>)| {
            place.as_ref().is_none_or(|place| **key > place.after) && selection.matches(key, object)
        };
        let limit = if options.limit == 0 { usize::MAX } else { options.limit };
        let mut list = List { version, ..List::default() };
        let mut fill = |objects: &mut dyn Iterator<Item = (&Key, &Arc<Object>)>| {
            let mut last = None;
            while let Some((key, object)) = objects.next() {
                if list.items.len() == limit {
                    let rest = 1 + objects.count();
                    list.remaining = selection.is_plain().then_some(rest);
                    list.continue_token = last.map(|key| token(version, key)).unwrap_or_default();
                    break;
                }
                last = Some(key);
                list.items.push(object.clone());
            }
        };
        if version == self.store.version() {
            fill(&mut self.store.objects(&place_of(resource)).filter(wanted));
        } else {
            let objects = self.store.objects_at(&place_of(resource), version);
            fill(&mut objects.iter().filter(wanted));
        }
        Ok(list)
    }

    /// Finds out which version is asked for and where the page begins; nothing means the newest, from the start.
    fn page(&self, options: &ListOptions) -> Result<Option<Place>, Status> {
        let known = |version: u64, expired: &str| {
            if version < self.store.dropped() {
                return Err(Status::expired(expired));
            }
            Ok(())
        };
        if !options.continue_token.is_empty() {
            let place = read_token(&options.continue_token).map_err(|why| {
                Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
            })?;
            if !matches!(options.resource_version.as_str(), "" | "0") {
                return Err(Status::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            known(
                place.version,
                "The provided continue parameter is too old to display a consistent list result. You can start a new \
                 list without the continue parameter, or use the continue token in this response to retrieve the \
                 remainder of the results. Continuing with the provided token results in an inconsistent list - \
                 objects that were created, modified, or deleted between the time the first chunk was returned and \
                 now may show up in the list.",
            )?;
            return Ok(Some(place));
        }
        let version = match options.resource_version.as_str() {
            "" | "0" => return Ok(None),
            text => text.parse::<u64>().map_err(|_no_number| bad_version(text))?,
        };
        if version > self.store.version() {
            return Err(too_large(version, self.store.version()));
        }
        if options.resource_version_match == "Exact" {
            known(version, "The resourceVersion for the provided list is too old.")?;
            return Ok(Some(Place { version, after: Key::default() }));
        }
        Ok(None)
    }
}

/// Says that a version is no number.
pub(super) fn bad_version(text: &str) -> Status {
    Status::bad_request(format!(
        "invalid resource version: resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: \
         invalid syntax"
    ))
}

fn too_large(version: u64, current: u64) -> Status {
    let cause = Cause {
        reason: "ResourceVersionTooLarge".to_owned(),
        message: "Too large resource version".to_owned(),
        field: String::new(),
    };
    let message = format!("Timeout: Too large resource version: {version}, current: {current}");
    let mut status = Status::new(504, "Timeout", message).with_causes(vec![cause]);
    status.details.get_or_insert_default().retry_after_seconds = 1;
    status
}

fn token(version: u64, key: &Key) -> String {
    let text = json!({"v": TOKEN_VERSION, "rv": version, "namespace": *key.namespace, "name": *key.name});
    BASE64URL_NOPAD.encode(text.to_string().as_bytes())
}

/// Reads where a page begins.
fn read_token(token: &str) -> Result<Place, String> {
    let bytes = LENIENT.decode(token.as_bytes()).map_err(|error| {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let at = token.bytes().position(|byte| !valid(byte)).unwrap_or(error.position);
        format!("illegal base64 data at input byte {at}")
    })?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| match bytes.first() {
        Some(first) if error.column() <= 1 => {
            format!("invalid character '{}' looking for beginning of value", char::from(*first))
        }
        Some(_) | None => error.to_string(),
    })?;
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    let version = text("v");
    if version != TOKEN_VERSION {
        return Err(format!("server does not recognize this encoded version {version}"));
    }
    let at = value.get("rv").and_then(Value::as_u64).unwrap_or_default();
    if at == 0 {
        return Err(format!("incorrect encoded start resourceVersion (version {version})"));
    }
    if text("name").is_empty() {
        return Err(format!("encoded start key empty (version {version})"));
    }
    Ok(Place { version: at, after: Key::new(text("namespace"), text("name")) })
}
