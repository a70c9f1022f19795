//! What scripts can do, and what ends them.

use serde_json::json;

use super::*;

/// A clock that goes on by a millisecond whenever somebody looks at it.
fn ticking() -> Duration {
    use std::sync::atomic::{AtomicU64, Ordering};
    static LOOKS: AtomicU64 = AtomicU64::new(0);
    Duration::from_millis(LOOKS.fetch_add(1, Ordering::Relaxed))
}

const STANDING: Clock = Clock { elapsed: || Duration::ZERO, unix: || 1_700_000_000 };
const TICKING: Clock = Clock { elapsed: ticking, unix: || 1_700_000_000 };

fn judge(clock: Clock, libraries: Libraries, script: &str) -> (Health, String) {
    let object = json!({
        "metadata": {"name": "a", "generation": 3, "labels": null},
        "spec": {"replicas": 2, "ratio": 0.5, "on": true},
        "status": {"conditions": [{"type": "Ready", "status": "False", "message": "no"}]},
    });
    match Sandbox::new(clock).judge(script, libraries, &object) {
        Ruling::Verdict(health, message) => (health, message),
        other @ (Ruling::NoRule | Ruling::NoOpinion) => panic!("{script}: {other:?}"),
    }
}

/// Runs an expression and gives what it is as text.
fn eval(libraries: Libraries, expression: &str) -> String {
    judge(STANDING, libraries, &format!("return {{status = 'Healthy', message = tostring({expression})}}")).1
}

#[test]
fn a_script_reads_the_object_and_says_a_word_of_argo_cd() {
    let script = "
        hs = {}
        for i, condition in ipairs(obj.status.conditions) do
          if condition.type == 'Ready' and condition.status == 'False' then
            hs.status = 'Degraded'
            hs.message = condition.message
            return hs
          end
        end
        hs.status = 'Progressing'
        return hs";
    assert_eq!(judge(STANDING, Libraries::Few, script), (Health::Degraded, "no".to_owned()));
    assert_eq!(eval(Libraries::Few, "obj.spec.replicas + 1"), "3");
    assert_eq!(eval(Libraries::Few, "obj.spec.ratio"), "0.5");
    assert_eq!(eval(Libraries::Few, "obj.spec.on and obj.metadata.labels == nil"), "true");
    assert_eq!(eval(Libraries::Few, "table.getn(obj.status.conditions)"), "1");
}

#[test]
fn what_is_no_verdict_is_unknown_and_nothing_is_no_opinion() {
    let sandbox = Sandbox::new(STANDING);
    assert_eq!(sandbox.judge("", Libraries::Few, &json!({})), Ruling::NoOpinion);
    assert_eq!(sandbox.judge("return nil", Libraries::Few, &json!({})), Ruling::NoOpinion);
    let unknown = |script: &str| {
        let (health, message) = judge(STANDING, Libraries::Few, script);
        assert_eq!(health, Health::Unknown, "{script}");
        message
    };
    assert_eq!(unknown("return {status = 'Fine'}"), "Lua returned an invalid health status");
    assert_eq!(unknown("return {}"), "Lua returned an invalid health status");
    assert_eq!(unknown("return 'Healthy'"), "expect table output from Lua script, not string");
    assert!(unknown("return obj.status.absent.field").contains("attempt to index a nil value"));
    assert!(unknown("error('mine')").contains("mine"));
}

#[test]
fn a_user_s_rule_has_few_libraries_unless_it_asks() {
    for name in [
        "string",
        "math",
        "io",
        "debug",
        "package",
        "coroutine",
        "pcall",
        "xpcall",
        "load",
        "dofile",
        "setmetatable",
        "getmetatable",
        "collectgarbage",
    ] {
        assert_eq!(eval(Libraries::Few, name), "nil", "{name}");
    }
    assert_eq!(eval(Libraries::Few, "os.execute or os.getenv or os.exit or os.remove"), "nil");
    assert_eq!(eval(Libraries::Few, "os.time()"), "1700000000");
    assert_eq!(eval(Libraries::Few, "require('os').date('!%Y-%m-%dT%H:%M:%SZ', 0)"), "1970-01-01T00:00:00Z");
    assert_eq!(eval(Libraries::Few, "os.time({year = 2026, month = 1, day = 2, hour = 3})"), "1767322800");
    assert_eq!(eval(Libraries::Few, "os.date('*t', 86400).yday"), "2");
    assert_eq!(eval(Libraries::Few, "table.concat({'a', 'b'}, '-')"), "a-b");
    assert_eq!(eval(Libraries::All, "string.upper('a') .. math.floor(2.5)"), "A2");
    for name in ["io", "debug", "pcall", "load", "string.dump", "string.pack", "table.move"] {
        assert_eq!(eval(Libraries::All, name), "nil", "{name}");
    }
    assert!(judge(STANDING, Libraries::All, "return require('io')").1.contains("is not there"));
}

#[test]
fn nothing_outlives_its_steps() {
    for script in [
        "while true do end",
        "::again:: goto again",
        "local function f() return f() end f()",
        "local t = {} for i = 1, 1e6 do t[i] = 'a' end while true do table.concat(t) end",
        "local p = '[' .. ('a'):rep(1000000) .. ']' while true do ('b'):rep(100):find(p) end",
        "local s = ('a'):rep(1000000000000)",
        "local s = (''):rep(1000000000000)",
        "for i = 1, 1e9 do local s = ('x'):rep(1000):upper() end",
        "local s = ('a'):rep(200) return s:find('a-a-a-a-a-a-a-a-a-a-b')",
        "local s = ('a'):rep(60) return s:match('a*a*a*a*a*a*a*a*a*b')",
        "local s = ('a'):rep(100000) for i = 1, 1e6 do s:find(('a'):rep(5000) .. 'b', 1, true) end",
        "local t = {} for i = 1, 100000 do t[i] = i end while true do table.insert(t, 1, 0) end",
    ] {
        let (health, message) = judge(STANDING, Libraries::All, script);
        assert_eq!(health, Health::Unknown, "{script}");
        assert!(message.contains("steps") || message.contains("memory"), "{script}: {message}");
    }
}

#[test]
fn nothing_nests_deeper_than_its_thread_can() {
    for (script, why) in [
        ("local function f() return (('a'):gsub('a', f)) end return f()", "deep"),
        ("local function f() local t = {2, 1} table.sort(t, f) return true end f()", "deep"),
        ("local function f() return 1 + f() end f()", "memory"),
        ("local s = ('('):rep(300) .. ('a'):rep(9) return ('a'):find(s)", "too many captures"),
        ("return ('a'):rep(300):find(('a?'):rep(300))", "too complex"),
    ] {
        let (health, message) = judge(STANDING, Libraries::All, script);
        assert_eq!(health, Health::Unknown, "{script}");
        assert!(message.contains(why), "{script}: {message}");
    }
}

#[test]
fn nothing_outlives_its_time() {
    let (health, message) = judge(TICKING, Libraries::Few, "while true do end");
    assert_eq!(health, Health::Unknown);
    assert!(message.contains("takes more than 1 s"), "{message}");
}

#[test]
fn nothing_takes_more_memory_than_it_may() {
    for script in [
        "local t = {} while true do t[#t + 1] = {1, 2, 3, 4, 5, 6, 7, 8} end",
        "local s = 'x' while true do s = s .. s end",
    ] {
        let (health, message) = judge(STANDING, Libraries::Few, script);
        assert_eq!(health, Health::Unknown, "{script}");
        assert!(message.contains("memory"), "{script}: {message}");
    }
}

#[test]
fn a_script_that_runs_leaves_nothing_to_the_next() {
    let sandbox = Sandbox::new(STANDING);
    let count = "count = (count or 0) + 1 return {status = 'Healthy', message = count}";
    for _ in 0..2 {
        let ruling = sandbox.judge(count, Libraries::Few, &json!({}));
        assert_eq!(ruling, Ruling::Verdict(Health::Healthy, "1".to_owned()));
    }
}

#[test]
fn what_is_no_lua_is_told_before_it_runs() {
    let sandbox = Sandbox::new(STANDING);
    assert_eq!(sandbox.check("return {status = 'Healthy'}"), Ok(()));
    assert!(sandbox.check("return {").unwrap_err().starts_with("rule:1:"));
    assert!(sandbox.check("\u{1b}Lua").is_err(), "bytecode is refused");
}

#[test]
fn patterns_are_those_of_lua() {
    let all = |expression: &str| eval(Libraries::All, expression);
    for (expression, expected) in [
        ("('key = value'):match('^(%w+)%s*=%s*(%w+)$')", "key"),
        ("select(2, ('key = value'):match('^(%w+)%s*=%s*(%w+)$'))", "value"),
        ("('hello'):find('l')", "3"),
        ("select(2, ('hello'):find('l+'))", "4"),
        ("('a.b'):find('.', 1, true)", "2"),
        ("('a.b'):find('b', -1)", "3"),
        ("('abc'):find('x')", "nil"),
        ("('abc'):find('', 10)", "nil"),
        ("('x=1, y=2'):gsub('(%w)=(%w)', '%2=%1')", "1=x, 2=y"),
        ("select(2, ('aaa'):gsub('a', 'b', 2))", "2"),
        ("('abc'):gsub('', '-')", "-a-b-c-"),
        ("('abc'):gsub('%w', '%0%0')", "aabbcc"),
        ("('hello world'):gsub('o', {o = '0'})", "hell0 w0rld"),
        ("('abc'):gsub('b', function(c) return c:upper() end)", "aBc"),
        ("('abc'):gsub('b', function() end)", "abc"),
        ("('f(a(b)c)d'):match('%b()')", "(a(b)c)"),
        ("('THE (quick) fox'):find('%f[%a]%a+%f[%A]', 5)", "6"),
        ("('aa'):match('(a)%1')", "a"),
        ("('abc'):match('()c')", "3"),
        ("('[]]'):match('[]]+')", "]]"),
        ("('a-z'):match('[%a-]+')", "a-z"),
        ("('x^y'):match('[%^x]+')", "x^"),
        ("('2026-01'):match('%d+-%d+')", "2026-01"),
        ("('<<a>>'):match('<-(a)>-$')", "a"),
        ("('aXb'):match('%u')", "X"),
        ("('  trim '):match('^%s*(.-)%s*$') .. '|'", "trim|"),
    ] {
        assert_eq!(all(expression), expected, "{expression}");
    }
    let words = "local n = {} for w in ('one two'):gmatch('%a+') do n[#n + 1] = w end
        return {status = 'Healthy', message = table.concat(n, ',')}";
    assert_eq!(judge(STANDING, Libraries::All, words).1, "one,two");
    for (pattern, why) in [
        ("%", "ends with '%'"),
        ("[a", "missing ']'"),
        ("(a", "unfinished capture"),
        ("a)", "invalid pattern capture"),
        ("%1", "invalid capture index"),
    ] {
        let script = format!("return ('aaa'):match('{pattern}')");
        assert!(judge(STANDING, Libraries::All, &script).1.contains(why), "{pattern}");
    }
}
