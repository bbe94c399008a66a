#![allow(clippy::unwrap_used)]
use super::*;

struct Given {
    folder: tempfile::TempDir,
    sources: Sources,
}

fn given(toml: &str, environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Given {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    std::fs::write(&config, toml).unwrap();
    let pair = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
    let flag =
        |(name, text): &(&'static str, &str)| (*name, format!("--{name}"), (*text).to_owned());
    let sources = Sources {
        config: Some(config),
        environment: environment.iter().map(pair).collect(),
        flags: flags.iter().map(flag).collect(),
    };
    Given { folder, sources }
}

fn refused(given: &Given) -> (String, String) {
    let (text, hint) = Settings::load(&given.sources).unwrap_err().words().unwrap();
    let folder = given.folder.path().display().to_string();
    (text.replace(&folder, "DIR"), hint.unwrap_or_default())
}

#[test]
fn defaults_are_good() {
    for key in KEYS {
        if let Some(text) = key.default {
            Value::parse(key.kind, text).unwrap();
        }
        assert!(!key.help.is_empty());
    }
    let mut names: Vec<_> = KEYS.iter().map(|key| key.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), KEYS.len());
}

#[test]
fn later_sources_win_and_each_value_knows_its_origin() {
    let given = given(
        "listen = \"127.0.0.1:1\"\nmax_page = 50\nmax_wait_s = 5\ndata = \"here\"\n",
        &[
            ("SYNCLINE_LISTEN", "127.0.0.1:2"),
            ("SYNCLINE_MAX_PAGE", "60"),
            ("SYNCLINE_AGENT", ""),
        ],
        &[("listen", "127.0.0.1:3")],
    );
    let settings = Settings::load(&given.sources).unwrap();
    let origin = |name| settings.entry(name).unwrap().origin.to_string();
    assert_eq!(settings.text("listen"), Some("127.0.0.1:3"));
    assert_eq!(origin("listen"), "flag --listen");
    assert_eq!(settings.number("max_page"), 60);
    assert_eq!(origin("max_page"), "environment SYNCLINE_MAX_PAGE");
    assert_eq!(settings.number("max_wait_s"), 5);
    assert!(origin("max_wait_s").ends_with("config.toml"));
    assert_eq!(settings.data(), given.folder.path().join("here"));
    assert_eq!(origin("max_bulk"), "default");
    assert_eq!(settings.text("agent"), None);
}

#[test]
fn unknown_keys_are_refused_with_a_hint() {
    assert_eq!(
        refused(&given("max_pages = 5", &[], &[])),
        (
            "unknown setting \"max_pages\" (DIR/config.toml)".into(),
            "did you mean max_page?".into()
        )
    );
    assert_eq!(
        refused(&given("", &[("SYNCLINE_MAX_PAGES", "5")], &[])),
        (
            "unknown setting in the environment: SYNCLINE_MAX_PAGES".into(),
            "did you mean SYNCLINE_MAX_PAGE?".into()
        )
    );
    let (text, _) = refused(&given("[limits]\nx = 1", &[], &[]));
    assert_eq!(text, "unknown setting \"limits\" (DIR/config.toml)");
    let (text, _) = refused(&given("bus = \"redis://x\"", &[], &[]));
    assert_eq!(text, "setting bus (DIR/config.toml) is not built yet");
}

#[test]
fn bad_values_say_where() {
    let (text, _) = refused(&given("max_page = 0", &[], &[]));
    assert_eq!(
        text,
        "setting max_page is 0, and may be 1 to 1000 (DIR/config.toml)"
    );
    let (text, _) = refused(&given("max_page = \"many\"", &[], &[]));
    assert_eq!(text, "setting max_page is a whole number (DIR/config.toml)");
    let (text, _) = refused(&given("a = 1\na = 2", &[], &[]));
    assert!(
        text.starts_with("DIR/config.toml is not TOML") && text.ends_with("line 2"),
        "{text}"
    );
}

#[test]
fn keys_and_tests_own_variables_pass() {
    let given = given(
        "",
        &[("SYNCLINE_KEY", " k \n"), ("SYNCLINE_TEST_DATA", "x")],
        &[],
    );
    assert_eq!(
        Settings::load(&given.sources).unwrap().token.as_deref(),
        Some("k")
    );
}
