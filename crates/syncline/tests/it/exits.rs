//! Exit codes: scripts depend on them.

use crate::node::{Home, Node};

#[test]
fn each_code_has_its_case() {
    let node = Node::start();
    assert_eq!(node.run(&["status"]).code, 0);
    node.ok(&["put", "task/a", "data.n=1"]);
    node.ok(&["patch", "task/a", "data.n=2"]);
    assert_eq!(node.run(&["diff", "task/a", "1..2"]).code, 1);
    assert_eq!(node.run(&["get", "no-address"]).code, 2);
    assert_eq!(node.run(&["nonsense"]).code, 2);
    assert_eq!(node.run(&["get", "task/nothing"]).code, 3);
    let mut wrong = node.home.command(&["status", "--url", &node.url]);
    wrong.env("SYNCLINE_KEY", "wrong");
    let said = crate::node::finish(wrong);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.err.contains("hint: "), "{said:?}");
    let nobody = Home::new();
    assert_eq!(nobody.run(&["status"]).code, 5);
    assert_eq!(
        nobody.run(&["status", "--url", "http://127.0.0.1:1"]).code,
        5
    );
}

#[test]
fn a_url_works_with_the_key_of_its_data() {
    let node = Node::start();
    let key = node.ok(&["key"]);
    let mut command = node.home.command(&["status", "--url", &node.url]);
    command.env("SYNCLINE_KEY", key.trim());
    assert_eq!(crate::node::finish(command).code, 0);
    let mut command = node.home.command(&["status", "--url", &node.url]);
    command.env("SYNCLINE_DATA", node.home.data());
    assert_eq!(crate::node::finish(command).code, 0);
    let said = node.home.run(&["status", "--url", "https://127.0.0.1:1"]);
    assert_eq!(said.code, 3);
    assert!(
        said.err.contains("https:// in the client is not built yet"),
        "{said:?}"
    );
}

#[test]
fn errors_are_one_line_and_a_hint() {
    let home = Home::new();
    let said = home.run(&["get", "task/a"]);
    let lines: Vec<_> = said.err.lines().collect();
    assert_eq!(lines.len(), 2, "{said:?}");
    assert!(
        lines[0].starts_with("error: the node cannot be reached: no node runs here"),
        "{said:?}"
    );
    assert!(
        lines[1].starts_with("hint: start one with `syncline up`"),
        "{said:?}"
    );
    assert_eq!(said.out, "");
}

#[test]
fn the_codes_are_documented() {
    let said = Home::new().run(&["help", "exit-codes"]);
    for code in [0, 1, 2, 3, 4, 5, 70, 130] {
        assert!(
            said.out
                .lines()
                .any(|line| line.starts_with(&format!("  {code:<5}"))),
            "{code}"
        );
    }
}

#[test]
fn settings_are_layered_and_checked() {
    let home = Home::new();
    let file = home.dir.path().join("settings.toml");
    std::fs::write(&file, "max_page = 50\nlisten = \"127.0.0.1:1\"\n").unwrap();
    let mut command = home.command(&["config", "--json", "--config", file.to_str().unwrap()]);
    command.env("SYNCLINE_LISTEN", "127.0.0.1:2");
    let shown = crate::node::finish(command).json();
    let origin = |name: &str| {
        shown
            .get(name)
            .unwrap()
            .get("origin")
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(origin("listen"), "environment SYNCLINE_LISTEN");
    assert!(origin("max_page").ends_with("settings.toml"));
    assert_eq!(origin("max_bulk"), "default");
    // Columns are apart, however long a name is.
    let all = home.run(&["config"]).out;
    let long = all
        .lines()
        .find(|line| line.starts_with("max_principal_subscriptions"))
        .unwrap();
    assert!(
        long.starts_with("max_principal_subscriptions  20000 "),
        "{long}"
    );
    let one = home.run(&["config", "max_document_bytes"]);
    assert_eq!((one.code, one.out.as_str()), (0, "10485760\n"));

    std::fs::write(&file, "max_pages = 50\n").unwrap();
    let said = home.run(&["status", "--config", file.to_str().unwrap()]);
    assert_eq!(said.code, 2);
    assert!(
        said.err.ends_with("hint: did you mean max_page?\n"),
        "{said:?}"
    );
    let mut command = home.command(&["config"]);
    command.env("SYNCLINE_LISTN", "x");
    let said = crate::node::finish(command);
    assert_eq!(said.code, 2);
    assert!(
        said.err.ends_with("hint: did you mean SYNCLINE_LISTEN?\n"),
        "{said:?}"
    );
}

#[test]
fn later_settings_say_that_they_are_not_built() {
    let home = Home::new();
    for flags in [
        ["up", "--upstream", "http://x"],
        ["up", "--bus", "redis://x"],
        ["up", "--store", "postgres://x"],
    ] {
        let said = home.run(&flags);
        assert_eq!(said.code, 3, "{said:?}");
        assert!(said.err.contains("not built yet"), "{said:?}");
    }
    let mut command = home.command(&["up"]);
    command.env("SYNCLINE_UPSTREAM", "http://x");
    assert_eq!(crate::node::finish(command).code, 3);
}

#[test]
fn a_refused_subtree_is_no_success() {
    let node = Node::start();
    node.ok(&["put", "project/p"]);
    node.ok(&["put", "task/a", "parent=project/p"]);
    let said = node.run(&["rm", "global/main", "--subtree"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("cannot be deleted"), "{said:?}");
    node.ok(&["get", "task/a"]);
    assert_eq!(
        node.ok(&["rm", "project/p", "--subtree"]),
        "project/p  2 contexts deleted\n"
    );
}

#[test]
fn a_diff_with_a_deletion_is_no_empty_one() {
    let node = Node::start();
    node.ok(&["put", "task/a", "data.n=1"]);
    node.ok(&["rm", "task/a"]);
    let said = node.run(&["diff", "task/a", "1..2"]);
    assert_eq!((said.code, said.out.as_str()), (3, ""), "{said:?}");
    assert!(
        said.err
            .contains("context \"task/a\" was deleted at version 2"),
        "{said:?}"
    );
}

#[test]
fn a_delete_that_is_sent_again_hears_the_first_answer() {
    let node = Node::start();
    node.ok(&["put", "task/a"]);
    let rm = [
        "rm",
        "task/a",
        "--id",
        "01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e0f",
    ];
    let first = node.ok(&rm);
    assert_eq!(node.ok(&rm), first);
}
