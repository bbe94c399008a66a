//! Large bodies hold up nobody but their own request.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use crate::node::{KEY, Node};

/// How many large bodies are parsed at once, on a node that has one thread for all.
const LARGE: usize = 3;
/// Long enough that a body is on its way through the parser, and far shorter than that way.
const BEGUN: Duration = Duration::from_millis(30);

/// A body whose parse takes long, and finds at its very end that it is none.
fn large_body() -> String {
    let numbers = "1,".repeat(2_000_000);
    format!(r#"{{"title":"t","data":{{"n":[{numbers}1]}},"title":"again"}}"#)
}

fn connect(address: std::net::SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream
}

/// Reads the head of an answer, and returns its status.
fn status(stream: &mut TcpStream) -> u16 {
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    std::str::from_utf8(&head[9..]).unwrap().parse().unwrap()
}

/// Sends all of a large body but its last byte, then that byte together with the others, and
/// tells when it was answered.
fn send_large(
    address: std::net::SocketAddr,
    together: &Barrier,
    answered: &mpsc::Sender<(&'static str, u16)>,
) {
    let body = large_body();
    let head = format!(
        "PUT /v1/contexts/task/a HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {KEY}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = connect(address);
    stream.write_all(head.as_bytes()).unwrap();
    let (most, last) = body.as_bytes().split_at(body.len() - 1);
    stream.write_all(most).unwrap();
    together.wait();
    together.wait();
    stream.write_all(last).unwrap();
    together.wait();
    answered.send(("large", status(&mut stream))).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_small_read_is_answered_while_large_bodies_are_parsed() {
    let node = Node::start().await;
    let address = node.address;
    let answers = tokio::task::spawn_blocking(move || {
        let (answered, answers) = mpsc::channel();
        let together = Arc::new(Barrier::new(LARGE + 1));
        for _ in 0..LARGE {
            let (together, answered) = (together.clone(), answered.clone());
            std::thread::spawn(move || send_large(address, &together, &answered));
        }
        let (mut warm, mut small) = (connect(address), connect(address));
        let ask = format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\n\r\n");
        let mut rest = [0; 4_096];
        together.wait();
        // What was sent of the bodies is read meanwhile.
        for _ in 0..50 {
            warm.write_all(ask.as_bytes()).unwrap();
            assert!(warm.read(&mut rest).unwrap() > 0);
        }
        together.wait();
        together.wait();
        std::thread::sleep(BEGUN);
        small.write_all(ask.as_bytes()).unwrap();
        answered.send(("small", status(&mut small))).unwrap();
        drop(answered);
        answers.iter().collect::<Vec<_>>()
    });
    let answers = answers.await.unwrap();
    let mut expected = vec![("small", 200)];
    expected.extend([("large", 400); LARGE]);
    assert_eq!(answers, expected);
}
