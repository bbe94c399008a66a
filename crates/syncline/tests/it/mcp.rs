//! `mcp`: one line in, one line out, and a node that starts by itself.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use crate::node::{Home, parse, signal, wait};

#[test]
fn it_starts_the_node_and_speaks_the_protocol_alone() {
    let home = Home::new();
    let mut command = home.command(&["mcp", "--agent", "tester"]);
    command
        .arg("--data")
        .arg(home.data())
        .env("SYNCLINE_LISTEN", "127.0.0.1:0");
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut call = |text: &str| {
        writeln!(input, "{text}").unwrap();
        parse(&lines.next().unwrap().unwrap())
    };
    let hello = call(
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#,
    );
    assert!(hello.get("result").is_some(), "{}", hello.to_text());
    let tools = call(r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#);
    assert_eq!(
        tools
            .get("result")
            .unwrap()
            .get("tools")
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        5
    );
    drop(input);
    assert_eq!(wait(&mut child).code(), Some(0));

    // The node outlives the program that started it.
    let mut status = home.command(&["status"]);
    status.arg("--data").arg(home.data());
    assert_eq!(crate::node::finish(status).code, 0);
    let holder = std::fs::read_to_string(home.data().join("lock")).unwrap();
    let process = holder
        .trim_start_matches("process ")
        .split(',')
        .next()
        .unwrap()
        .trim();
    signal(process.parse().unwrap(), "KILL");
}

#[test]
fn without_a_node_it_says_so_on_stderr() {
    let home = Home::new();
    let said = home.run(&["mcp", "--no-start"]);
    assert_eq!(said.out, "");
}
