use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
    ServiceDescriptorProto,
};

use crate::FILE_DESCRIPTOR_SET;

fn field(field: &FieldDescriptorProto) -> String {
    let base = if matches!(field.r#type(), Type::Message | Type::Enum) {
        field.type_name().trim_start_matches(".argosy.v1.").to_owned()
    } else {
        field.r#type().as_str_name().trim_start_matches("TYPE_").to_lowercase()
    };
    let label = match field.label() {
        Label::Repeated => "repeated ",
        Label::Optional if field.proto3_optional() => "optional ",
        Label::Optional if field.oneof_index.is_some() => "oneof ",
        Label::Optional | Label::Required => "",
    };
    format!("  {} {label}{base} {}\n", field.number(), field.name())
}

fn message(message: &DescriptorProto) -> String {
    let mut fields: Vec<&FieldDescriptorProto> = message.field.iter().collect();
    fields.sort_by_key(|field| field.number());
    let mut text = format!("message {}\n", message.name());
    text.extend(fields.into_iter().map(field));
    text.extend(message.nested_type.iter().map(self::message));
    text
}

fn enumeration(enumeration: &EnumDescriptorProto) -> String {
    let mut text = format!("enum {}\n", enumeration.name());
    text.extend(enumeration.value.iter().map(|value| format!("  {} {}\n", value.number(), value.name())));
    text
}

fn service(service: &ServiceDescriptorProto) -> String {
    let stream = |on: bool| if on { "stream " } else { "" };
    let method = |method: &MethodDescriptorProto| {
        format!(
            "rpc {}.{}({}{}) returns ({}{})\n",
            service.name(),
            method.name(),
            stream(method.client_streaming()),
            method.input_type().trim_start_matches(".argosy.v1."),
            stream(method.server_streaming()),
            method.output_type().trim_start_matches(".argosy.v1."),
        )
    };
    service.method.iter().map(method).collect::<Vec<_>>().concat()
}

/// Holds the wire: numbers, types and names of everything that was ever published stay.
#[test]
fn the_wire_is_what_it_was() {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut text = String::new();
    for file in &set.file {
        text.extend([format!("// {} package {}\n", file.name(), file.package())]);
        text.extend(file.service.iter().map(service));
        text.extend(file.message_type.iter().map(message));
        text.extend(file.enum_type.iter().map(enumeration));
    }
    insta::assert_snapshot!("wire", text);
}
