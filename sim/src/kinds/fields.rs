//! The table of the fields of the built-in kinds.

use std::collections::BTreeMap;
use std::sync::LazyLock;

const TABLE: &str = include_str!("fields.txt");

/// A type with named fields.
#[derive(Debug)]
pub(crate) struct Struct {
    /// Package and name, e.g. `core.PodSpec`.
    pub(crate) name: &'static str,
    /// Whether server-side apply takes it as one.
    pub(crate) atomic: bool,
    /// In the order of the table.
    pub(crate) fields: Vec<Field>,
}

/// A named field.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a field")]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// An empty value is left out.
    pub(crate) omit_empty: bool,
    /// A struct without anything in it is left out.
    pub(crate) omit_zero: bool,
    /// Absent is something else than empty.
    pub(crate) pointer: bool,
    pub(crate) ty: FieldType,
    pub(crate) list: ListMerge,
    /// How a strategic merge patch merges it, and by which key.
    pub(crate) patch: Option<(&'static str, Option<&'static str>)>,
    /// Whether server-side apply takes the map or struct as one.
    pub(crate) atomic: bool,
}

/// What a field may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FieldType {
    Text,
    Truth,
    Int32,
    Int64,
    Float,
    Bytes,
    Time,
    MicroTime,
    Duration,
    Quantity,
    IntOrText,
    Object,
    Any,
    Struct(&'static str),
    List(Box<FieldType>),
    Map(Box<FieldType>),
}

/// How a list merges in server-side apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ListMerge {
    Atomic,
    Set,
    /// By keys, each with its default if it has one.
    Map(Vec<(&'static str, Option<&'static str>)>),
}

static STRUCTS: LazyLock<BTreeMap<&'static str, Struct>> = LazyLock::new(read);

/// Finds a type by its name.
pub(crate) fn find(name: &str) -> Option<&'static Struct> {
    STRUCTS.get(name)
}

// === impl Struct ===

impl Struct {
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Gives its name without the package.
    pub(crate) fn short(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(_, name)| name)
    }
}

// === impl FieldType ===

impl FieldType {
    /// Gives the type as Go writes it, for refusals.
    pub(crate) fn go(&self) -> String {
        match self {
            Self::Text => "string".to_owned(),
            Self::Truth => "bool".to_owned(),
            Self::Int32 => "int32".to_owned(),
            Self::Int64 => "int64".to_owned(),
            Self::Float => "float64".to_owned(),
            Self::Bytes => "[]uint8".to_owned(),
            Self::Time => "v1.Time".to_owned(),
            Self::MicroTime => "v1.MicroTime".to_owned(),
            Self::Duration => "v1.Duration".to_owned(),
            Self::Quantity => "resource.Quantity".to_owned(),
            Self::IntOrText => "intstr.IntOrString".to_owned(),
            Self::Object => "runtime.RawExtension".to_owned(),
            Self::Any => "v1.JSON".to_owned(),
            Self::Struct(name) => format!("v1.{}", name.split_once('.').map_or(*name, |(_, name)| name)),
            Self::List(item) => format!("[]{}", item.go()),
            Self::Map(item) => format!("map[string]{}", item.go()),
        }
    }
}

fn read() -> BTreeMap<&'static str, Struct> {
    let mut structs = Vec::<Struct>::new();
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        if let Some(line) = line.strip_prefix(' ') {
            if let (Some(of), Some(field)) = (structs.last_mut(), field(line)) {
                of.fields.push(field);
            }
            continue;
        }
        let (name, atomic) = match line.split_once(' ') {
            Some((name, options)) => (name, options == "atomic"),
            None => (line, false),
        };
        structs.push(Struct { name, atomic, fields: Vec::new() });
    }
    structs.into_iter().map(|of| (of.name, of)).collect()
}

fn field(line: &'static str) -> Option<Field> {
    let mut words = line.split(' ');
    let flagged = words.next()?;
    let name = flagged.trim_end_matches(['?', '~', '*']);
    let flags = flagged.strip_prefix(name)?;
    let mut field = Field {
        name,
        omit_empty: flags.contains('?'),
        omit_zero: flags.contains('~'),
        pointer: flags.contains('*'),
        ty: field_type(words.next()?)?,
        list: ListMerge::Atomic,
        patch: None,
        atomic: false,
    };
    for (option, value) in words.filter_map(|word| word.split_once('=')) {
        match option {
            "l" if value == "set" => field.list = ListMerge::Set,
            "l" => {
                let keys = value.strip_prefix("map:")?.split(',');
                let key = |key: &'static str| match key.split_once('=') {
                    Some((key, default)) => (key, Some(default)),
                    None => (key, None),
                };
                field.list = ListMerge::Map(keys.map(key).collect());
            }
            "p" => {
                field.patch = Some(match value.split_once(':') {
                    Some((strategy, key)) => (strategy, Some(key)),
                    None => (value, None),
                });
            }
            _ => field.atomic = value == "atomic",
        }
    }
    Some(field)
}

fn field_type(text: &'static str) -> Option<FieldType> {
    let mut letters = text.chars();
    let first = letters.next()?;
    let rest = letters.as_str();
    Some(match first {
        's' => FieldType::Text,
        'b' => FieldType::Truth,
        'i' => FieldType::Int32,
        'l' => FieldType::Int64,
        'f' => FieldType::Float,
        'y' => FieldType::Bytes,
        't' => FieldType::Time,
        'u' => FieldType::MicroTime,
        'd' => FieldType::Duration,
        'q' => FieldType::Quantity,
        'x' => FieldType::IntOrText,
        'o' => FieldType::Object,
        'j' => FieldType::Any,
        '@' => FieldType::Struct(rest),
        '[' => FieldType::List(Box::new(field_type(rest)?)),
        '{' => FieldType::Map(Box::new(field_type(rest)?)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refers(ty: &FieldType) -> Option<&'static str> {
        match ty {
            FieldType::Struct(name) => Some(name),
            FieldType::List(item) | FieldType::Map(item) => refers(item),
            FieldType::Text
            | FieldType::Truth
            | FieldType::Int32
            | FieldType::Int64
            | FieldType::Float
            | FieldType::Bytes
            | FieldType::Time
            | FieldType::MicroTime
            | FieldType::Duration
            | FieldType::Quantity
            | FieldType::IntOrText
            | FieldType::Object
            | FieldType::Any => None,
        }
    }

    #[test]
    fn every_field_is_read_and_refers_to_a_type_that_is_there() {
        let lines = TABLE.lines().filter(|line| line.starts_with(' ')).count();
        assert_eq!(STRUCTS.values().map(|of| of.fields.len()).sum::<usize>(), lines);
        for name in STRUCTS.values().flat_map(|of| &of.fields).filter_map(|field| refers(&field.ty)) {
            assert!(find(name).is_some(), "{name}");
        }
    }

    #[test]
    fn options_are_read() {
        let ports = find("core.Container").unwrap().field("ports").unwrap();
        assert_eq!(ports.list, ListMerge::Map(vec![("containerPort", None), ("protocol", Some("TCP"))]));
        assert_eq!(ports.patch, Some(("merge", Some("containerPort"))));
    }
}
