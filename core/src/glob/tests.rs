use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(pattern: &str, separators: &[char], yes: &[&str], no: &[&str]) {
    let glob = Glob::new(pattern, separators).unwrap();
    for text in yes {
        assert!(glob.matches(text), "{pattern:?} should match {text:?}");
    }
    for text in no {
        assert!(!glob.matches(text), "{pattern:?} should not match {text:?}");
    }
}

#[test]
fn a_star_stops_at_separators_only() {
    check("*", &[], &["", "a", "a/b"], &[]);
    check("a/*", &['/'], &["a/", "a/b"], &["a/b/c", "a"]);
    check("a/**", &['/'], &["a/b", "a/b/c"], &["b/a"]);
    check(
        "https://git.example.com/*/*.git",
        &['/'],
        &["https://git.example.com/a/b.git"],
        &["https://git.example.com/b.git"],
    );
    check("**/x.yaml", &[], &["a/x.yaml", "a/b/x.yaml"], &["x.yaml"]);
}

#[test]
fn characters_classes_and_alternatives_match() {
    check("a?c", &['/'], &["abc", "aäc"], &["ac", "a/c"]);
    check("[a-c]x", &[], &["ax", "cx"], &["dx", "x"]);
    check("[!a-c]x", &[], &["dx"], &["ax"]);
    check(
        "{a,b*,c/{d,e}}.yaml",
        &['/'],
        &["a.yaml", "bcd.yaml", "c/d.yaml", "c/e.yaml"],
        &["c.yaml", "c/f.yaml"],
    );
    check("{config.yaml,env-use2/*}", &[], &["config.yaml", "env-use2/x/y"], &["env/x"]);
    check("{,x}y", &[], &["y", "xy"], &["x"]);
    check(r"a\*b\{", &[], &["a*b{"], &["axb{"]);
    check("a,b", &[], &["a,b"], &["a"]);
    check("", &[], &[""], &["a"]);
}

#[test]
fn gos_file_match_has_no_braces_and_negates_with_a_caret() {
    let matches = |pattern: &str, text: &str| Glob::file_match(pattern).unwrap().matches(text);
    assert!(matches("*.istio.io", "networking.istio.io"));
    assert!(matches("*", ""));
    assert!(!matches("**", "a/b"));
    assert!(matches("{a,b}", "{a,b}"));
    assert!(matches("[^a]x", "bx") && !matches("[^a]x", "ax"));
    assert!(matches("[!a]x", "!x"), "`!` is an ordinary character there");
}

#[test]
fn patterns_that_are_none_are_refused() {
    for pattern in ["[", "[]", "[a", "[z-a]", "[a-", "{a", "a}", "\\", "{a,{b}"] {
        assert!(Glob::new(pattern, &[]).is_err(), "{pattern:?}");
    }
    assert!(Glob::new(&"a".repeat(2000), &[]).is_err());
    assert!(Glob::new(&"{".repeat(40), &[]).unwrap_err().why.contains("deep"));
}

#[test]
fn no_pattern_blows_up() {
    let text = "a".repeat(2000);
    for pattern in ["*a".repeat(300), "{a,aa,*}".repeat(60), "**a*?".repeat(100)] {
        let glob = Glob::new(&format!("{pattern}b"), &[]).unwrap();
        assert!(!glob.matches(&text));
    }
}

proptest! {
    #[test]
    fn an_escaped_text_matches_itself_alone(text in "\\PC{0,20}", other in "\\PC{0,20}") {
        let pattern: String = text.chars().flat_map(|character| ['\\', character]).collect();
        let glob = Glob::new(&pattern, &['/']).unwrap();
        prop_assert!(glob.matches(&text));
        prop_assert_eq!(glob.matches(&other), other == text);
    }

    #[test]
    fn a_pattern_never_panics(pattern in "[a\\[\\]{},*?!^\\\\/-]{0,16}", text in "[a/!-]{0,8}") {
        if let Ok(glob) = Glob::new(&pattern, &['/']) {
            glob.matches(&text);
        }
        if let Ok(glob) = Glob::file_match(&pattern) {
            glob.matches(&text);
        }
    }
}
