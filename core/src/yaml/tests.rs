use serde_json::json;

use super::*;

fn values(text: &str) -> Vec<Value> {
    let documents = parse_documents(text.as_bytes(), &Limits::default()).unwrap();
    documents.into_iter().map(|document| document.value).collect()
}

fn refusal(text: &str) -> String {
    parse_documents(text.as_bytes(), &Limits::default()).unwrap_err().to_string()
}

/// Pairs of YAML and what `kubectl` reads, made with `kubectl annotate --local -o json`.
#[test]
fn scalars_are_read_as_kubectl_reads_them() {
    let forms = [
        ("yes", json!(true)),
        ("Yes", json!(true)),
        ("yEs", json!("yEs")),
        ("on", json!(true)),
        ("off", json!(false)),
        ("y", json!(true)),
        ("n", json!(false)),
        ("0777", json!(511)),
        ("08", json!(8)),
        ("0o17", json!(15)),
        ("0x1F", json!(31)),
        ("0XFF", json!(255)),
        ("0b11", json!(3)),
        ("-0b11", json!(-3)),
        ("0b102", json!("0b102")),
        ("+12", json!(12)),
        ("1_000", json!(1000)),
        ("1__0", json!(10)),
        ("_1", json!("_1")),
        ("0x_1F", json!(31)),
        ("1_000.5", json!(1000.5)),
        ("685_230.15", json!(685_230.15)),
        ("1e3", json!(1000)),
        ("1E+3", json!(1000)),
        ("1.5e3", json!(1500)),
        ("1.", json!(1)),
        (".5", json!(0.5)),
        ("-.5", json!(-0.5)),
        ("+.5", json!(0.5)),
        ("1.0", json!(1)),
        ("-0", json!(0)),
        ("-0.0", json!(0)),
        ("00", json!(0)),
        ("-0777", json!(-511)),
        ("0777.5", json!(777.5)),
        ("0.0000001", json!(1e-7)),
        ("1e25", json!(1e25)),
        ("1e400", json!("1e400")),
        ("9223372036854775807", json!(i64::MAX)),
        ("9223372036854775808", json!(9_223_372_036_854_775_808.0_f64)),
        ("18446744073709551616", json!(18_446_744_073_709_551_616.0_f64)),
        ("-9223372036854775809", json!(-9_223_372_036_854_775_809.0_f64)),
        ("~", json!(null)),
        ("Null", json!(null)),
        ("", json!(null)),
        ("2001-01-01", json!("2001-01-01")),
        ("12:30:45", json!("12:30:45")),
        ("\"yes\"", json!("yes")),
        ("'12'", json!("12")),
        ("!!str 12", json!("12")),
        ("!!int \"12\"", json!(12)),
        ("!!float 12", json!(12)),
        ("!!bool yes", json!(true)),
        ("! 12", json!("12")),
        ("0x", json!("0x")),
        ("1e", json!("1e")),
        ("=", json!("=")),
        ("+", json!("+")),
    ];
    for (text, expected) in forms {
        assert_eq!(values(&format!("v: {text}\n")), [json!({"v": expected})], "{text:?}");
    }
}

#[test]
fn keys_are_named_as_kubectl_names_them() {
    assert_eq!(
        values("{yes: 1, 0777: 2, 1.5: 3, a: 4, ? b : 5}"),
        [json!({"true": 1, "511": 2, "1.5": 3, "a": 4, "b": 5})]
    );
    assert!(refusal("{null: 1}").contains("null as a key"));
    assert!(refusal("a: {[x]: 1}").contains("a: a map or list as a key"));
    assert!(refusal("{1e20: 1}").contains("in quotes"));
}

#[test]
fn merge_keys_follow_gos_order() {
    assert_eq!(values("{a: 1, <<: {a: 2, b: 3}, b: 4}"), [json!({"a": 2, "b": 4})]);
    assert_eq!(values("{<<: [{a: 1, b: 1}, {a: 2, c: 2}]}"), [json!({"a": 1, "b": 1, "c": 2})]);
    assert_eq!(values("{\"<<\": {a: 2}}"), [json!({"<<": {"a": 2}})]);
    assert_eq!(
        values("x: &x {a: 1}\nz:\n  <<: *x\n  b: 2\n"),
        [json!({"x": {"a": 1}, "z": {"a": 1, "b": 2}})]
    );
    assert!(refusal("{<<: 1}").contains("needs a map"));
}

#[test]
fn the_last_of_two_equal_keys_counts_and_is_warned_of() {
    let text = "a:\n  b:\n    - c: 1\n      d: 2\n      c: 3\n";
    let documents = parse_documents(text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(documents[0].value, json!({"a": {"b": [{"c": 3, "d": 2}]}}));
    assert_eq!(documents[0].warnings.len(), 1);
    assert_eq!(documents[0].warnings[0].field, "a.b[0].c");
    assert_eq!(documents[0].warnings[0].line, 5);
    let merged = parse_documents(b"x: &x {a: 1}\nz: {<<: *x, a: 2}\n", &Limits::default()).unwrap();
    assert_eq!(merged[0].warnings, [], "overriding a merged key is what merging is for");
}

#[test]
fn documents_are_told_apart_with_their_lines() {
    let text = "# only a comment\n---\na: 1\n---\n\n--- # nothing\n---\n# x\nb: 2\n--- {c: 3}\n...\n---\n~\n";
    let documents = parse_documents(text.as_bytes(), &Limits::default()).unwrap();
    let seen: Vec<_> = documents.iter().map(|d| (d.index, d.line, d.value.clone())).collect();
    assert_eq!(seen, [(1, 3, json!({"a": 1})), (2, 9, json!({"b": 2})), (3, 10, json!({"c": 3}))]);
    assert_eq!(values("\u{feff}a: 1\r\n---\r\nb: |\r\n  x\r\n"), [json!({"a": 1}), json!({"b": "x\n"})]);
}

#[test]
fn a_bad_document_names_itself_and_harms_no_other() {
    let each = parse_each(b"a: 1\n---\nb: [1\nc: 2\n---\nd: 4\n", &Limits::default()).unwrap();
    assert_eq!(each.len(), 3);
    assert!(each[0].is_ok() && each[2].is_ok());
    let error = each[1].as_ref().unwrap_err();
    assert_eq!(error.document, Some(2));
    assert!(matches!(error.line, Some(3..=5)), "{error}");
    assert!(refusal("a: 1\nb:\n  c: .inf\n").starts_with("document 1, line 3: b.c: .inf"));
    assert!(refusal("a: !foo bar\n").contains("tag !foo is not supported"));
    assert!(refusal("a: *x\n").contains("line 1"));
    assert!(refusal("a: 1\n...\nb: 2\n").contains("without a `---` line"));
    assert!(refusal("%YAML 1.2\n---\na: 1\n").contains("line 1"));
}

#[test]
fn limits_are_errors_with_names() {
    let nine = |item: &str| [item; 9].join(",");
    let levels = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut bomb = format!("a: &a [{}]\n", nine("x"));
    for pair in levels.windows(2) {
        let line = format!("{0}: &{0} [{1}]\n", pair[1], nine(&format!("*{}", pair[0])));
        bomb.push_str(&line);
    }
    assert!(refusal(&bomb).contains("bytes by aliases"));
    assert!(refusal("a: &a [*a]\n").contains("contains it"));
    assert!(refusal(&format!("{}{}", "[".repeat(100), "]".repeat(100))).contains("document 1"));
    let nested: Vec<String> = (0..100).map(|depth| format!("{}a:", " ".repeat(depth))).collect();
    assert!(refusal(&nested.join("\n")).contains("document 1"));
    let small = Limits { documents: 2, document_bytes: 16, file_bytes: 64, ..Limits::default() };
    let refused = |text: &str| parse_documents(text.as_bytes(), &small).unwrap_err().to_string();
    assert_eq!(refused("a: 1\n---\nb: 1\n---\nc: 1\n"), "document 3, line 4: more than 2 documents");
    assert!(refused("a: 12345678901234567890\n").contains("more than 16 bytes in a document"));
    assert!(refused(&"a: 1\n".repeat(20)).contains("more than 64 bytes in a file"));
    assert_eq!(parse_documents(b"a: 1\nb: \xff\n", &small).unwrap_err().to_string(), "line 2: not UTF-8");
}

#[test]
fn a_json_file_is_one_object() {
    let read = |text: &str| parse_json(text.as_bytes(), &Limits::default());
    assert_eq!(read("{\"a\": 1.0, \"b\": 1e3}").unwrap().value, json!({"a": 1, "b": 1000}));
    assert!(read("[]").unwrap_err().to_string().contains("exactly one object"));
    assert!(read("{}\n{}").unwrap_err().to_string().starts_with("document 1, line 2:"));
    let deep = format!("{}1{}", "{\"a\":".repeat(80), "}".repeat(80));
    assert!(read(&deep).unwrap_err().to_string().contains("nesting"));
}

#[test]
fn a_single_document_tells_where_its_fields_stand() {
    let text = "# first\n---\na: 1\nb:\n  - c: x\n    d: {e: f}\n  - 2\n  -\n    g: h\n";
    let one = parse_one(text.as_bytes(), &Limits::default()).unwrap();
    let places = [
        ("a", 3),
        ("b", 4),
        ("b[0].c", 5),
        ("b[0].d.e", 6),
        ("b[1]", 7),
        ("b[2].g", 9),
        ("b[0].d.missing", 6),
        ("b[7]", 4),
        ("missing", 3),
        (".", 3),
    ];
    for (field, line) in places {
        assert_eq!(one.line_of(field), line, "{field}");
    }
    for (text, says) in
        [("a: 1\n---\nb: 2\n", "line 2: .: must hold exactly one document, and holds 2"), ("", "holds 0")]
    {
        let error = parse_one(text.as_bytes(), &Limits::default()).unwrap_err().to_string();
        assert!(error.ends_with(says), "{error}");
    }
}
