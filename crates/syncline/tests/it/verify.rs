//! `verify`: sound is sound, and rot is found.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::node::{Node, parse};

#[test]
fn rot_on_disk_is_found_and_named() {
    let mut node = Node::start();
    for n in 0..30 {
        node.ok(&[
            "put",
            &format!("task/t{n}"),
            &format!("data.text=the quick brown fox number {n}"),
        ]);
    }
    // The node checks itself while it runs, and finds what the command finds on its directory.
    let running = node.run(&["verify", "--json"]);
    assert_eq!(running.code, 0, "{running:?}");
    assert_eq!(node.stop(), 0);
    let sound = node.run(&["verify", "--json"]);
    assert_eq!(sound.code, 0, "{sound:?}");
    assert_eq!(sound.out, running.out);
    let report = parse(&sound.out);
    assert_eq!(report.get("records").unwrap().as_u64(), Some(31));
    assert_eq!(report.get("sound").unwrap().as_bool(), Some(true));

    let path = node.home.data().join("syncline.db");
    let mut bytes = fs::read(&path).unwrap();
    let needle = b"quick brown fox number 17";
    let places: Vec<_> = bytes
        .windows(needle.len())
        .enumerate()
        .filter(|(_, w)| w == needle)
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty(), "the text is stored as it is");
    // Some of them are bytes that the file no longer uses.
    for place in places {
        bytes[place] ^= 1;
    }
    fs::write(&path, &bytes).unwrap();
    let rotten = node.run(&["verify"]);
    assert_eq!(rotten.code, 1, "{rotten:?}");
    assert!(
        rotten.out.starts_with("rotten  ") && rotten.out.contains("task/t17"),
        "{rotten:?}"
    );
}

#[test]
fn there_must_be_something_to_verify() {
    let home = crate::node::Home::new();
    let said = home.run(&["verify"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("there is no database in"), "{said:?}");
}

/// The parent's change is nobody's proposal, and yet it can be named by its id.
#[test]
fn a_parent_that_was_made_on_request_is_sound() {
    let node = Node::start();
    node.ok(&["put", "branch/b", "parent=project/new", "--create-parents"]);
    let said = node.run(&["verify"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(node.run(&["status"]).code, 0);
}

/// Every file with its bytes.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    // The dead node's socket has no bytes.
    let paths = paths.filter(|path| path.is_file());
    paths
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect()
}

#[test]
fn verifying_changes_no_byte() {
    let mut node = Node::start();
    for n in 0..30 {
        node.ok(&["put", &format!("task/t{n}"), "data.text=some"]);
    }
    node.kill();
    let data = node.home.data();
    let copied = node.home.dir.path().join("copy");
    fs::create_dir(&copied).unwrap();
    for name in ["syncline.db", "syncline.db-wal"] {
        fs::copy(data.join(name), copied.join(name)).unwrap();
    }
    assert!(fs::metadata(copied.join("syncline.db-wal")).unwrap().len() > 0);
    for dir in [&data, &copied] {
        let before = files(dir);
        let said = node
            .home
            .run(&["verify", "--json", "--data", dir.to_str().unwrap()]);
        assert_eq!(said.json().get("records").unwrap().as_u64(), Some(31));
        assert_eq!(said.err.contains("is a copy"), *dir == copied, "{said:?}");
        assert_eq!(files(dir), before);
    }
}
