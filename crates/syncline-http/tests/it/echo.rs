//! The echo fixture, frame by frame: what RFC 6455 asks of a server and a library may get wrong.

use std::time::Duration;

use syncline_http::{DoorLimits, serve_echo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// The frame is a message's last.
const LAST: u8 = 0x80;

struct Peer(TcpStream);

impl Peer {
    async fn open() -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = DoorLimits {
            request_bytes_max: 1 << 20,
            ..DoorLimits::default()
        };
        tokio::spawn(serve_echo(listener, limits));
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /any/path HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101"), "{head}");
        assert!(head.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        Peer(stream)
    }

    /// Sends a masked frame; `first` is its first byte.
    async fn send(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match payload.len() {
            short @ 0..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
            length => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        let mask = [1, 2, 3, 4];
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b));
        self.0.write_all(&frame).await.unwrap();
    }

    /// Reads a frame, which a server sends unmasked; none when the connection has ended.
    async fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        let read = async {
            let first = self.0.read_u8().await.ok()?;
            let length = match self.0.read_u8().await.ok()? {
                126 => self.0.read_u16().await.ok()?.into(),
                127 => self.0.read_u64().await.ok()?,
                short => short.into(),
            };
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.0.read_exact(&mut payload).await.ok()?;
            Some((first, payload))
        };
        tokio::time::timeout(Duration::from_secs(10), read)
            .await
            .unwrap()
    }

    async fn expect(&mut self, opcode: u8, payload: &[u8]) {
        let (first, found) = self.read().await.expect("the connection stands");
        assert_eq!(first, LAST | opcode);
        assert!(
            found == payload,
            "{} bytes, not these {}",
            found.len(),
            payload.len()
        );
    }

    /// The server closes with a code, and then the connection ends.
    async fn expect_close(&mut self, code: u16) {
        let (first, payload) = self.read().await.expect("a close frame comes first");
        assert_eq!(first, LAST | CLOSE);
        assert_eq!(payload.get(..2), Some(&code.to_be_bytes()[..]));
        assert_eq!(self.read().await, None);
    }
}

#[tokio::test]
async fn texts_and_bytes_of_all_lengths_come_back() {
    let mut peer = Peer::open().await;
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20] {
        let payload = vec![b'x'; length];
        peer.send(LAST | TEXT, &payload).await;
        peer.expect(TEXT, &payload).await;
        let payload = vec![0xff; length];
        peer.send(LAST | BINARY, &payload).await;
        peer.expect(BINARY, &payload).await;
    }
}

#[tokio::test]
async fn fragments_are_joined_and_pings_pass_between() {
    let mut peer = Peer::open().await;
    // A character is cut in two.
    peer.send(TEXT, b"a\xc3").await;
    peer.send(LAST | PING, b"now").await;
    peer.expect(PONG, b"now").await;
    peer.send(0, b"\xa9").await;
    peer.send(0, b"").await;
    peer.send(LAST, b"z").await;
    peer.expect(TEXT, "aéz".as_bytes()).await;
    // An unsolicited pong means nothing.
    peer.send(LAST | PONG, b"?").await;
    peer.send(LAST | BINARY, b"end").await;
    peer.expect(BINARY, b"end").await;
}

#[tokio::test]
async fn a_close_is_answered_with_its_code() {
    for (payload, code) in [
        (&[][..], None),
        (&[3, 232], Some(1000)),
        (&[3, 232, b'b', b'y', b'e'], Some(1000)),
        (&[15, 160], Some(4000)),
        // Codes that nobody may send.
        (&[3, 236], Some(1002)),
        (&[3, 237], Some(1002)),
        (&[0, 0], Some(1002)),
    ] {
        let mut peer = Peer::open().await;
        peer.send(LAST | CLOSE, payload).await;
        let (first, answer) = peer.read().await.expect("a close is answered");
        assert_eq!(first, LAST | CLOSE, "{payload:?}");
        let answered = answer
            .get(..2)
            .map(|code| u16::from_be_bytes(code.try_into().unwrap()));
        assert_eq!(answered, code, "{payload:?}");
        assert_eq!(peer.read().await, None, "the connection ends");
    }
}

#[tokio::test]
async fn what_breaks_the_protocol_ends_the_connection() {
    for (frames, code) in [
        // Reserved bits, and an operation that there is not.
        (&[(LAST | 0x40 | TEXT, &b"x"[..])][..], 1002),
        (&[(LAST | 3, b"x")], 1002),
        (&[(LAST | 11, b"x")], 1002),
        // A control frame in parts, and one that is too long.
        (&[(PING, b"x")], 1002),
        (&[(LAST | PING, &[b'x'; 126])], 1002),
        // A part of nothing, and a message within another.
        (&[(LAST, b"x")], 1002),
        (&[(TEXT, b"x"), (LAST | TEXT, b"y")], 1002),
        // A close of one byte.
        (&[(LAST | CLOSE, b"x")], 1002),
        (&[(LAST | TEXT, b"\xff")], 1007),
        (&[(TEXT, b"a\xc3"), (LAST, b"b")], 1007),
        (&[(LAST | TEXT, b"\xed\xa0\x80")], 1007),
        (&[(LAST | CLOSE, &[3, 232, 0xff])], 1007),
    ] {
        let mut peer = Peer::open().await;
        for (first, payload) in frames {
            peer.send(*first, payload).await;
        }
        let (first, payload) = peer
            .read()
            .await
            .unwrap_or_else(|| panic!("{frames:?}: no close"));
        assert_eq!(first, LAST | CLOSE, "{frames:?}");
        assert_eq!(
            payload.get(..2),
            Some(&u16::to_be_bytes(code)[..]),
            "{frames:?}"
        );
        assert_eq!(peer.read().await, None);
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let mut peer = Peer::open().await;
    peer.send(BINARY, &vec![0; 1 << 20]).await;
    peer.send(LAST, b"x").await;
    peer.expect_close(1009).await;
}

/// Who sends pings and takes no pongs is read no further: what is owed to it must not pile up.
#[tokio::test]
async fn p9_unread_pongs_do_not_pile_up() {
    const PINGS_MAX: u64 = 400_000;
    let Peer(stream) = Peer::open().await;
    let (read, mut write) = stream.into_split();
    let frame = |n: u64| {
        let mut frame = vec![LAST | PING, 0x80 | 120, 0, 0, 0, 0];
        frame.extend(n.to_be_bytes().into_iter().cycle().take(120));
        frame
    };
    let mut sent = 0;
    let mut left = Vec::new();
    while sent < PINGS_MAX {
        if left.is_empty() {
            left = (sent..sent + 1_000).flat_map(frame).collect();
            sent += 1_000;
        }
        let wrote = tokio::time::timeout(Duration::from_secs(2), write.write(&left)).await;
        let Ok(wrote) = wrote else { break };
        left.drain(..wrote.unwrap());
    }
    assert!(
        sent < PINGS_MAX,
        "{sent} pings were read, and no pong taken"
    );
    // It is read on as it reads, and hears of the last one.
    let rest = tokio::spawn(async move {
        write.write_all(&left).await.unwrap();
        write
    });
    let mut read = tokio::io::BufReader::new(read);
    let mut last = None;
    while last != Some(sent - 1) {
        let mut pong = [0; 122];
        let whole = tokio::time::timeout(Duration::from_secs(10), read.read_exact(&mut pong));
        whole.await.unwrap().unwrap();
        assert_eq!(pong[..2], [LAST | PONG, 120]);
        let n = u64::from_be_bytes(pong[2..10].try_into().unwrap());
        assert!(last < Some(n), "{n} after {last:?}");
        last = Some(n);
    }
    rest.await.unwrap();
}
