//! Licences of all dependencies, and what must not be among them.

use std::collections::BTreeMap;

use syncline_model::json::{Json, Limits};

use crate::run::{Result, Step};

/// Licences whose terms we meet by naming them.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that must not come in, with the reason (DEPENDENCIES, sections 3 and 4).
const BANNED: &[(&str, &str)] = &[
    ("openssl-sys", "one crypto provider"),
    ("ring", "one crypto provider, and not this one"),
    ("native-tls", "one crypto provider"),
    ("sqlx", "one SQLite"),
    ("figment", "asleep"),
    ("cedar-policy-core", "turns on preserve_order everywhere"),
];

/// Crates of which there may be one version only.
const SINGLE: &[&str] = &[
    "libsqlite3-sys",
    "rusqlite",
    "schemars",
    "tokio",
    "hyper",
    "axum",
];

/// Features that must be off everywhere: they change what JSON means.
const FEATURES: &[(&str, &str)] = &[
    ("serde_json", "preserve_order"),
    ("serde_json", "arbitrary_precision"),
    ("serde_json", "raw_value"),
];

/// Reads what cargo says of the whole tree, and checks it.
pub fn run() -> Result {
    let text = Step::cargo(&["metadata", "--format-version", "1", "--locked"]).output()?;
    let limits = Limits {
        bytes_max: 1 << 28,
        depth_max: 64,
    };
    let metadata = Json::parse(text.as_bytes(), &limits).map_err(|error| error.to_string())?;
    let mut faults = Vec::new();
    let packages = metadata
        .get("packages")
        .and_then(Json::as_array)
        .unwrap_or_default();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        let text = |key: &str| package.get(key).and_then(Json::as_str).unwrap_or_default();
        let (name, version) = (text("name"), text("version"));
        versions.entry(name).or_default().push(version);
        if !is_allowed(text("license")) {
            faults.push(format!(
                "{name} {version}: the licence {:?} is not allowed",
                text("license")
            ));
        }
        faults.extend(
            BANNED
                .iter()
                .filter(|(b, _)| *b == name && is_built(name))
                .map(|(b, why)| format!("{b} is banned: {why}")),
        );
    }
    for name in SINGLE {
        if let Some(several) = versions.get(name).filter(|versions| versions.len() > 1) {
            faults.push(format!(
                "{name} is there more than once: {}",
                several.join(", ")
            ));
        }
    }
    faults.extend(forbidden_features(&metadata));
    match faults.is_empty() {
        true => {
            eprintln!("licences and bans: {} packages are fine", packages.len());
            Ok(())
        }
        false => Err(format!("dependencies:\n  {}", faults.join("\n  "))),
    }
}

/// Says whether anything really uses a package: the lock file, and so the metadata, also names
/// those that a feature which nobody takes would bring.
fn is_built(name: &str) -> bool {
    let tree = [
        "tree",
        "--workspace",
        "--locked",
        "--target",
        "all",
        "-e",
        "all",
        "-i",
        name,
    ];
    // More than one version of it is an error, and no less there.
    let users = Step::cargo(&tree).output();
    !users.is_ok_and(|users| users.trim().is_empty())
}

fn forbidden_features(metadata: &Json) -> Vec<String> {
    let nodes = metadata
        .get("resolve")
        .and_then(|resolve| resolve.get("nodes"));
    let mut faults = Vec::new();
    for node in nodes.and_then(Json::as_array).unwrap_or_default() {
        let id = node.get("id").and_then(Json::as_str).unwrap_or_default();
        let features = node
            .get("features")
            .and_then(Json::as_array)
            .unwrap_or_default();
        for (package, feature) in FEATURES {
            let is_it = id.contains(&format!("#{package}@"));
            if is_it && features.iter().any(|f| f.as_str() == Some(feature)) {
                faults.push(format!(
                    "{package} has the feature {feature}, which changes what JSON means"
                ));
            }
        }
    }
    faults
}

/// Reads an SPDX expression of `OR`, `AND` and parentheses: one side of each `OR` must be allowed.
fn is_allowed(expression: &str) -> bool {
    // Some still write the slash that older manifests had for `OR`.
    let text = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut at = 0;
    let allowed = either(&words, &mut at);
    allowed && at == words.len()
}

fn either(words: &[&str], at: &mut usize) -> bool {
    let mut allowed = all(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        allowed |= all(words, at);
    }
    allowed
}

fn all(words: &[&str], at: &mut usize) -> bool {
    let mut allowed = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        allowed &= one(words, at);
    }
    allowed
}

fn one(words: &[&str], at: &mut usize) -> bool {
    match words.get(*at) {
        Some(&"(") => {
            *at += 1;
            let allowed = either(words, at);
            let closed = words.get(*at) == Some(&")");
            *at += 1;
            allowed && closed
        }
        Some(name) => {
            *at += 1;
            let mut name = (*name).to_owned();
            if words.get(*at) == Some(&"WITH") {
                name = format!(
                    "{name} WITH {}",
                    words.get(*at + 1).copied().unwrap_or_default()
                );
                *at += 2;
            }
            ALLOWED.contains(&name.as_str())
        }
        // A name is missing: past the end, so that the whole is not taken as read.
        None => {
            *at = words.len() + 1;
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn expressions_are_read() {
        for good in [
            "MIT",
            "MIT OR Apache-2.0",
            "MIT/Apache-2.0",
            "GPL-3.0 OR MIT",
            "(MIT OR GPL-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(is_allowed(good), "{good}");
        }
        for bad in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT",
            "MIT)",
            "MIT OR",
            "Apache-2.0 WITH x",
        ] {
            assert!(!is_allowed(bad), "{bad}");
        }
    }
}
