//! How a value merges: what server-side apply has to know of a kind.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

use super::element::{Element, Scalar as Id};
use crate::golang;

/// How a value merges and who can own which part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// A value without parts.
    Scalar(Scalar),
    /// An object: a struct of named fields, a map, or both.
    Map(MapType),
    /// A list.
    List(ListType),
    /// A value of any form that is owned as one.
    Atomic,
    /// A value of any form whose objects merge field by field; lists are owned as one.
    Deduced,
    /// A value of any form whose objects merge as this type says; lists are owned as one.
    Any(MapType),
    /// A whole object of the API.
    Resource(Box<ResourceType>),
    /// A field that takes no part: it is in no merged object and in no set.
    Hidden,
}

/// How a whole object of the API merges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceType {
    /// The fields of the object.
    pub map: MapType,
    /// What an object of the kind holds when nothing is set, without its name: the built-in kinds have fields
    /// that are always there (`spec: {}`). What is always there is nobody's, so ownership of a new object
    /// depends on it. Null for custom resources.
    pub empty: Value,
    /// The versions that a custom resource has, served or not, as `group/version`; empty if that is not known.
    pub versions: Vec<String>,
}

/// What a scalar may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// An integer or a float.
    Numeric,
    /// A string.
    String,
    /// True or false.
    Boolean,
    /// Any scalar.
    Untyped,
}

/// How an object merges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MapType {
    /// The named fields.
    pub fields: BTreeMap<String, Field>,
    /// The type of all other fields; `None` allows no other.
    pub element: Option<Arc<Type>>,
    /// True if the object is owned as one.
    pub atomic: bool,
}

/// A named field of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// How the field's value merges.
    pub ty: Arc<Type>,
    /// The field's default: it stands for a key that an item of a map list does not state.
    pub default: Option<Value>,
}

/// How a list merges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListType {
    /// The type of the items.
    pub element: Arc<Type>,
    /// How items are told apart.
    pub kind: ListKind,
}

/// How the items of a list are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListKind {
    /// Not at all: the list is owned as one.
    Atomic,
    /// By their value.
    Set,
    /// By the values of these fields.
    Map(Vec<String>),
}

/// The form in which a value is handled, after its own form where the type leaves it open.
#[derive(Clone, Copy)]
pub(crate) enum Form<'t> {
    Scalar(Scalar),
    Map(&'t MapType),
    List(&'t ListType),
    Hidden,
}

static DEDUCED_MAP: LazyLock<MapType> = LazyLock::new(|| MapType {
    fields: BTreeMap::new(),
    element: Some(Arc::new(Type::Deduced)),
    atomic: false,
});
static ATOMIC_MAP: LazyLock<MapType> = LazyLock::new(|| MapType {
    fields: BTreeMap::new(),
    element: Some(Arc::new(Type::Atomic)),
    atomic: true,
});
static ATOMIC_LIST: LazyLock<ListType> =
    LazyLock::new(|| ListType { element: Arc::new(Type::Atomic), kind: ListKind::Atomic });
static ROOT_METADATA: LazyLock<Arc<Type>> = LazyLock::new(|| Arc::new(object_meta(Type::Hidden)));
static NESTED_METADATA: LazyLock<Arc<Type>> = LazyLock::new(|| {
    Arc::new(object_meta(Type::list(
        Type::structure([
            ("apiVersion", Type::STRING),
            ("fieldsType", Type::STRING),
            ("fieldsV1", Type::Deduced),
            ("manager", Type::STRING),
            ("operation", Type::STRING),
            ("subresource", Type::STRING),
            ("time", Type::UNTYPED),
        ]),
        ListKind::Atomic,
    )))
});

// === impl Type ===

impl Type {
    /// A string.
    pub const STRING: Self = Self::Scalar(Scalar::String);
    /// A number.
    pub const NUMERIC: Self = Self::Scalar(Scalar::Numeric);
    /// True or false.
    pub const BOOLEAN: Self = Self::Scalar(Scalar::Boolean);
    /// Any scalar: quantities, times, ports by number or name.
    pub const UNTYPED: Self = Self::Scalar(Scalar::Untyped);

    /// An object with these fields and no other.
    pub fn structure<'n, T: Into<Arc<Type>>>(fields: impl IntoIterator<Item = (&'n str, T)>) -> Self {
        let fields = fields
            .into_iter()
            .map(|(name, ty)| (name.to_owned(), Field { ty: ty.into(), default: None }))
            .collect();
        Self::Map(MapType { fields, element: None, atomic: false })
    }

    /// A map of values of one type.
    pub fn map(element: impl Into<Arc<Type>>) -> Self {
        Self::Map(MapType { fields: BTreeMap::new(), element: Some(element.into()), atomic: false })
    }

    /// A list of values of one type.
    pub fn list(element: impl Into<Arc<Type>>, kind: ListKind) -> Self {
        Self::List(ListType { element: element.into(), kind })
    }

    /// A list whose items are told apart by these fields.
    pub fn map_list(element: impl Into<Arc<Type>>, keys: &[&str]) -> Self {
        Self::list(element, ListKind::Map(keys.iter().map(|key| (*key).to_owned()).collect()))
    }

    /// The type of an object of the API: its own fields with `apiVersion`, `kind` and `metadata`.
    #[must_use]
    pub fn resource(fields: BTreeMap<String, Field>) -> Self {
        Self::resource_with_empty(fields, Value::Null)
    }

    /// As [`Type::resource`], for a kind that has fields even when nothing is set.
    #[must_use]
    pub fn resource_with_empty(mut fields: BTreeMap<String, Field>, empty: Value) -> Self {
        let plain = |ty: Arc<Type>| Field { ty, default: None };
        fields.insert("apiVersion".to_owned(), plain(Arc::new(Self::STRING)));
        fields.insert("kind".to_owned(), plain(Arc::new(Self::STRING)));
        fields.insert("metadata".to_owned(), plain(Arc::clone(&ROOT_METADATA)));
        let map = MapType { fields, element: None, atomic: false };
        Self::Resource(Box::new(ResourceType { map, empty, versions: Vec::new() }))
    }

    /// This type, of a custom resource that has these versions (`group/version`).
    ///
    /// Ownership that is stated in a version that the definition has lost cannot be converted: an apply is
    /// refused for it, any other write drops all ownership.
    #[must_use]
    pub fn with_versions(mut self, versions: Vec<String>) -> Self {
        if let Self::Resource(resource) = &mut self {
            resource.versions = versions;
        }
        self
    }

    /// True if objects of this type can be converted to the version.
    pub(crate) fn has_version(&self, version: &str) -> bool {
        let Self::Resource(resource) = self else { return true };
        resource.versions.is_empty() || resource.versions.iter().any(|known| known == version)
    }

    /// What an object of this type holds when nothing is set.
    pub(crate) fn empty(&self) -> &Value {
        match self {
            Self::Resource(resource) => &resource.empty,
            Self::Scalar(_)
            | Self::Map(_)
            | Self::List(_)
            | Self::Atomic
            | Self::Deduced
            | Self::Any(_)
            | Self::Hidden => &Value::Null,
        }
    }

    /// The type of `metadata` inside of an object, of a pod's template for one.
    pub fn nested_metadata() -> Arc<Type> {
        Arc::clone(&NESTED_METADATA)
    }

    /// The form in which this type handles a value; null takes the form of an object where any is allowed.
    pub(crate) fn form(&self, value: &Value) -> Form<'_> {
        let any = |map| match value {
            Value::Bool(_) | Value::Number(_) | Value::String(_) => Form::Scalar(Scalar::Untyped),
            Value::Array(_) => Form::List(&ATOMIC_LIST),
            Value::Null | Value::Object(_) => Form::Map(map),
        };
        match self {
            Self::Scalar(scalar) => Form::Scalar(*scalar),
            Self::Map(map) => Form::Map(map),
            Self::Resource(resource) => Form::Map(&resource.map),
            Self::List(list) => Form::List(list),
            Self::Atomic => any(&ATOMIC_MAP),
            Self::Deduced => any(&DEDUCED_MAP),
            Self::Any(map) => any(map),
            Self::Hidden => Form::Hidden,
        }
    }

    /// The object form of this type, if it has one.
    pub(crate) fn as_map(&self) -> Option<&MapType> {
        match self {
            Self::Map(map) | Self::Any(map) => Some(map),
            Self::Resource(resource) => Some(&resource.map),
            Self::Atomic => Some(&ATOMIC_MAP),
            Self::Deduced => Some(&DEDUCED_MAP),
            Self::Scalar(_) | Self::List(_) | Self::Hidden => None,
        }
    }

    /// The list form of this type, if it has one.
    pub(crate) fn as_list(&self) -> Option<&ListType> {
        match self {
            Self::List(list) => Some(list),
            Self::Atomic | Self::Deduced | Self::Any(_) => Some(&ATOMIC_LIST),
            Self::Scalar(_) | Self::Map(_) | Self::Resource(_) | Self::Hidden => None,
        }
    }

    /// The type of what an element selects.
    pub(crate) fn below(&self, element: &Element<'_>) -> Option<&Type> {
        match element {
            Element::Field(name) => self.as_map()?.below(name),
            Element::Key(_) => self.as_list().map(|list| &*list.element),
            Element::Value(_) | Element::Index(_) => None,
        }
    }
}

impl Form<'_> {
    /// True if both handle a value in the same way.
    pub(crate) fn same(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Form::Scalar(_), Form::Scalar(_))
                | (Form::Map(_), Form::Map(_))
                | (Form::List(_), Form::List(_))
                | (Form::Hidden, Form::Hidden)
        )
    }
}

// === impl MapType ===

impl MapType {
    pub(crate) fn below(&self, name: &str) -> Option<&Type> {
        match self.fields.get(name) {
            Some(field) => Some(&field.ty),
            None => self.element.as_deref(),
        }
    }
}

// === impl ListType ===

impl ListType {
    pub(crate) fn is_atomic(&self) -> bool {
        self.kind == ListKind::Atomic
    }

    /// Says why nothing tells this item of the list apart, if so.
    pub(crate) fn check_identity(&self, item: &Value) -> Result<(), String> {
        let problem = match (&self.kind, item) {
            (ListKind::Atomic, _) => "invalid indexing of non-associative list",
            (ListKind::Set, Value::Object(_)) => {
                "associative list without keys has an element that's a map type"
            }
            (ListKind::Set, Value::Array(_)) => "not supported: associative list with lists as elements",
            (ListKind::Set, Value::Null) => {
                "associative list without keys has an element that's an explicit null"
            }
            (ListKind::Set, Value::Bool(_) | Value::Number(_) | Value::String(_)) => return Ok(()),
            (ListKind::Map(_), Value::Null) => "associative list with keys may not have a null element",
            (ListKind::Map(keys), Value::Object(_)) => {
                let mut values =
                    keys.iter().filter_map(|key| Some((key, self.key_value(item, key)?))).peekable();
                if values.peek().is_none() {
                    let keys: Vec<_> = keys.iter().map(|key| golang::quoted(key)).collect();
                    return Err(format!(
                        "associative list with keys has an element that omits all key fields [{}] (and doesn't \
                         have default values for any key fields)",
                        keys.join(" ")
                    ));
                }
                return match values.find(|(_, value)| value.is_array() || value.is_object()) {
                    Some((key, _)) => Err(format!("the key {key} is not a scalar")),
                    None => Ok(()),
                };
            }
            (ListKind::Map(_), Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                "associative list with keys may not have non-map elements"
            }
        };
        Err(problem.to_owned())
    }

    /// What tells this item of the list apart; `None` if nothing does.
    pub(crate) fn element_of<'a>(&'a self, item: &'a Value) -> Option<Element<'a>> {
        match &self.kind {
            ListKind::Atomic => None,
            ListKind::Set => Id::of(item).filter(|id| *id != Id::Null).map(Element::Value),
            ListKind::Map(keys) => {
                let mut found = Vec::with_capacity(keys.len());
                for key in keys {
                    if let Some(value) = self.key_value(item, key) {
                        found.push((Cow::Borrowed(key.as_str()), Id::of(value)?));
                    }
                }
                if found.len() > 1 {
                    found.sort_by(|(a, _), (b, _)| a.cmp(b));
                }
                (!found.is_empty()).then(|| Element::Key(found.into_boxed_slice()))
            }
        }
    }

    /// The value of a key of an item, or the default that stands for it.
    fn key_value<'a>(&'a self, item: &'a Value, key: &str) -> Option<&'a Value> {
        let default = || self.element.as_map().and_then(|map| map.fields.get(key)?.default.as_ref());
        item.as_object()?.get(key).or_else(default)
    }
}

/// The type of `metadata`, with `managedFields` of this type.
fn object_meta(managed_fields: Type) -> Type {
    let mut owner = Type::structure([
        ("apiVersion", Type::STRING),
        ("blockOwnerDeletion", Type::BOOLEAN),
        ("controller", Type::BOOLEAN),
        ("kind", Type::STRING),
        ("name", Type::STRING),
        ("uid", Type::STRING),
    ]);
    if let Type::Map(owner) = &mut owner {
        owner.atomic = true;
    }
    Type::structure([
        ("annotations", Type::map(Type::STRING)),
        ("creationTimestamp", Type::UNTYPED),
        ("deletionGracePeriodSeconds", Type::NUMERIC),
        ("deletionTimestamp", Type::UNTYPED),
        ("finalizers", Type::list(Type::STRING, ListKind::Set)),
        ("generateName", Type::STRING),
        ("generation", Type::NUMERIC),
        ("labels", Type::map(Type::STRING)),
        ("managedFields", managed_fields),
        ("name", Type::STRING),
        ("namespace", Type::STRING),
        ("ownerReferences", Type::map_list(owner, &["uid"])),
        ("resourceVersion", Type::STRING),
        ("selfLink", Type::STRING),
        ("uid", Type::STRING),
    ])
}
