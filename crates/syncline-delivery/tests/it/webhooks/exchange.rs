//! One exchange, with endpoints as hostile as they can be, on loopback. 127.0.0.1 is allowed here,
//! and 127.0.0.2 is what must never be reached.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rustls::RootCertStore;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use syncline_delivery::webhook::exchange::{
    Answer, Exchange, ExchangeError, ExchangeLimits, Post, Resolve, Roots,
};
use syncline_delivery::webhook::guard::Guard;
use syncline_delivery::webhook::target::Target;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Answers each look-up with the next of these.
struct Names {
    answers: Mutex<Vec<Vec<&'static str>>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, _name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = match answers.len() {
            1 => answers[0].clone(),
            _ => answers.remove(0),
        };
        Ok(answer.iter().map(|ip| ip.parse().unwrap()).collect())
    }
}

fn names(answers: &[&[&'static str]]) -> Arc<Names> {
    Arc::new(Names {
        answers: Mutex::new(answers.iter().map(|answer| answer.to_vec()).collect()),
        asked: AtomicUsize::new(0),
    })
}

fn exchange(names: Arc<Names>, roots: RootCertStore, time_max: Duration) -> Exchange {
    let guard = Guard::new(true, &["127.0.0.1".to_owned()]).unwrap();
    let limits = ExchangeLimits {
        time_max,
        ..ExchangeLimits::default()
    };
    Exchange::new(guard, names, Roots::Given(Arc::new(roots)), limits)
}

fn post_to(url: &str) -> Post {
    Post {
        target: Target::parse(url).unwrap(),
        id: "0199a3b2-0000-7000-8000-000000000000".to_owned(),
        timestamp_s: 1_800_000_000,
        signature: "v1,abc".to_owned(),
        body: r#"{"specversion":"1.0"}"#.to_owned(),
    }
}

async fn posted(url: &str, time_max: Duration) -> Result<Answer, ExchangeError> {
    let exchange = exchange(names(&[&["127.0.0.1"]]), RootCertStore::empty(), time_max);
    exchange.post(post_to(url)).await
}

/// Serves each connection with `serve`, and returns where.
async fn endpoint<F, S>(serve: S) -> u16
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(TcpStream) -> F + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    port
}

/// Reads a request's head and body.
async fn read_request(stream: &mut TcpStream) -> String {
    let (mut text, mut buffer) = (String::new(), [0u8; 4_096]);
    while !text.ends_with('}') {
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => text.push_str(std::str::from_utf8(&buffer[..read]).unwrap()),
            _ => break,
        }
    }
    text
}

/// Answers with a text after the request came.
async fn answering(answer: &'static str) -> u16 {
    endpoint(move |mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await
}

const SHORT: Duration = Duration::from_millis(400);
const LONG: Duration = Duration::from_secs(15);

#[tokio::test]
async fn what_is_posted_is_http_with_the_three_headers() {
    let seen = Arc::new(Mutex::new(String::new()));
    let keep = seen.clone();
    let port = endpoint(move |mut stream| {
        let keep = keep.clone();
        async move {
            *keep.lock().unwrap() = read_request(&mut stream).await;
            let answer = b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
        }
    })
    .await;
    let answer = posted(&format!("http://hooks.example:{port}/a?b=c"), LONG).await;
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (202, &b"ok"[..]));
    let seen = seen.lock().unwrap().clone();
    assert!(seen.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{seen}");
    for line in [
        format!("host: hooks.example:{port}"),
        "content-type: application/cloudevents+json".to_owned(),
        "webhook-id: 0199a3b2-0000-7000-8000-000000000000".to_owned(),
        "webhook-timestamp: 1800000000".to_owned(),
        "webhook-signature: v1,abc".to_owned(),
        "content-length: 21".to_owned(),
        "connection: close".to_owned(),
    ] {
        assert!(seen.contains(&format!("\r\n{line}\r\n")), "{line}\n{seen}");
    }
}

#[tokio::test]
async fn one_deadline_holds_for_all_of_it() {
    let silent = endpoint(|stream| async move {
        tokio::time::sleep(LONG).await;
        drop(stream);
    })
    .await;
    let drips = endpoint(|mut stream| async move {
        for byte in b"HTTP/1.1 200 OK\r\nx: "
            .iter()
            .chain([b'a'].iter().cycle())
        {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    for port in [silent, drips] {
        for scheme in ["http", "https"] {
            let begun = Instant::now();
            let roots = authority().0;
            let exchange = exchange(names(&[&["127.0.0.1"]]), roots, SHORT);
            let url = format!("{scheme}://hooks.example:{port}/");
            let found = exchange.post(post_to(&url)).await;
            let refused = matches!(
                found,
                Err(ExchangeError::TimedOut(_) | ExchangeError::Tls(_))
            );
            assert!(refused, "{url}: {found:?}");
            assert!(begun.elapsed() < 3 * SHORT, "{url}: {:?}", begun.elapsed());
        }
    }
}

#[tokio::test]
async fn a_body_that_drips_costs_the_deadline_and_a_huge_one_16_kb() {
    let drips = endpoint(|mut stream| async move {
        read_request(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let begun = Instant::now();
    let answer = posted(&format!("http://127.0.0.1:{drips}/"), SHORT).await;
    assert_eq!(answer.unwrap().status, 200);
    assert!(begun.elapsed() < 3 * SHORT);

    let written = Arc::new(AtomicU64::new(0));
    let count = written.clone();
    let huge = endpoint(move |mut stream| {
        let count = count.clone();
        async move {
            read_request(&mut stream).await;
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n";
            stream.write_all(head).await.unwrap();
            let block = vec![b'x'; 64 * 1024];
            while stream.write_all(&block).await.is_ok() {
                count.fetch_add(block.len() as u64, Ordering::SeqCst);
            }
        }
    })
    .await;
    let begun = Instant::now();
    let answer = posted(&format!("http://127.0.0.1:{huge}/"), LONG)
        .await
        .unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 16 * 1024));
    assert!(begun.elapsed() < LONG / 3, "it was cut, and not waited for");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let written = written.load(Ordering::SeqCst);
    assert!(written < 32 << 20, "the endpoint wrote {written} bytes");
}

#[tokio::test]
async fn what_is_no_answer_is_a_failure() {
    let flood = endpoint(|mut stream| async move {
        read_request(&mut stream).await;
        while stream
            .write_all(b"HTTP/1.1 102 Processing\r\n\r\n")
            .await
            .is_ok()
        {}
    })
    .await;
    let headers = endpoint(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream
            .write_all(b"x-more: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")
            .await
            .is_ok()
        {}
    })
    .await;
    let ports = [
        flood,
        headers,
        answering("").await,
        answering("HTTP/1.1 2").await,
        answering("SSH-2.0-OpenSSH_9.2\r\n").await,
        answering("HTTP/0.9 200 OK\r\n\r\n").await,
        answering("HTTP/1.1 999999 Odd\r\n\r\n").await,
        answering("HTTP/1.1 200 OK\r\nbad header\r\n\r\n").await,
        answering("\0\0\0\0\0\0\0\0\0\0").await,
    ];
    for port in ports {
        let begun = Instant::now();
        let found = posted(&format!("http://127.0.0.1:{port}/"), LONG).await;
        assert!(matches!(found, Err(ExchangeError::Answer(_))), "{found:?}");
        assert!(begun.elapsed() < LONG / 3, "the bound is on bytes too");
    }
    // The head was whole: what it says counts.
    let early = answering("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nfew").await;
    let answer = posted(&format!("http://127.0.0.1:{early}/"), LONG)
        .await
        .unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"few"[..]));
    // A port that nobody listens at.
    let found = posted("http://127.0.0.1:1/", LONG).await;
    assert!(matches!(found, Err(ExchangeError::Connect(_))), "{found:?}");
}

#[tokio::test]
async fn statuses_and_retry_after_are_told() {
    for (answer, status, after) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, None),
        ("HTTP/1.1 410 Gone\r\n\r\n", 410, None),
        (
            "HTTP/1.1 429 Slow\r\nretry-after: 120\r\n\r\n",
            429,
            Some(120),
        ),
        ("HTTP/1.1 503 No\r\nretry-after: -1\r\n\r\n", 503, None),
        (
            "HTTP/1.1 503 No\r\nretry-after: Fri, 31 Dec 1999 23:59:59 GMT\r\n\r\n",
            503,
            Some(0),
        ),
        // A date counts from the endpoint's own clock, in each of its three forms.
        (
            "HTTP/1.1 503 No\r\ndate: Fri, 31 Dec 1999 23:59:00 GMT\r\n\
             retry-after: Fri, 31 Dec 1999 23:59:59 GMT\r\n\r\n",
            503,
            Some(59),
        ),
        (
            "HTTP/1.1 429 No\r\ndate: Fri Dec 31 23:00:00 1999\r\n\
             retry-after: Friday, 31-Dec-99 23:59:00 GMT\r\n\r\n",
            429,
            Some(59 * 60),
        ),
        // Without one, from the moment that was signed.
        (
            "HTTP/1.1 503 No\r\nretry-after: Fri, 15 Jan 2027 09:00:00 GMT\r\n\r\n",
            503,
            Some(3_600),
        ),
        (
            "HTTP/1.1 503 No\r\nretry-after: soon, please\r\n\r\n",
            503,
            None,
        ),
        (
            "HTTP/1.1 503 No\r\nretry-after: 99999999999999999999999\r\n\r\n",
            503,
            Some(u64::from(u32::MAX)),
        ),
        (
            "HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
            101,
            None,
        ),
    ] {
        let port = answering(answer).await;
        let found = posted(&format!("http://127.0.0.1:{port}/"), LONG)
            .await
            .unwrap();
        assert_eq!(found.status, status);
        assert_eq!(
            found.retry_after,
            after.map(Duration::from_secs),
            "{answer}"
        );
    }
}

/// Listens where nobody may come, and tells how many came.
async fn forbidden(port: u16) -> Arc<AtomicUsize> {
    let came = Arc::new(AtomicUsize::new(0));
    let count = came.clone();
    let listener = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    came
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let came = forbidden(port).await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            read_request(&mut stream).await;
            let answer =
                format!("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.2:{port}/\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let found = posted(&format!("http://127.0.0.1:{port}/"), LONG)
        .await
        .unwrap();
    assert_eq!(found.status, 302);
    assert_eq!(came.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_mind_reaches_nothing_that_was_not_checked() {
    let port = answering("HTTP/1.1 200 OK\r\n\r\n").await;
    let came = forbidden(port).await;
    let url = format!("http://rebound.example:{port}/");
    // Asked once for each attempt: there is no second answer between the check and the connection.
    let flips = names(&[&["127.0.0.1"], &["127.0.0.2"], &["127.0.0.1"]]);
    let exchange = exchange(flips.clone(), RootCertStore::empty(), LONG);
    assert_eq!(exchange.post(post_to(&url)).await.unwrap().status, 200);
    assert_eq!(flips.asked.load(Ordering::SeqCst), 1);
    let found = exchange.post(post_to(&url)).await;
    assert!(matches!(found, Err(ExchangeError::Denied(_))), "{found:?}");
    assert_eq!(exchange.post(post_to(&url)).await.unwrap().status, 200);
    assert_eq!(flips.asked.load(Ordering::SeqCst), 3);
    for mixed in [
        &["127.0.0.1", "127.0.0.2"][..],
        &["127.0.0.2", "127.0.0.1"],
        &["127.0.0.1", "::1"],
        &["127.0.0.1", "169.254.169.254"],
        &["::ffff:127.0.0.2"],
    ] {
        let exchange = self::exchange(names(&[mixed]), RootCertStore::empty(), LONG);
        let found = exchange.post(post_to(&url)).await;
        assert!(
            matches!(found, Err(ExchangeError::Denied(_))),
            "{mixed:?}: {found:?}"
        );
    }
    for host in ["127.0.0.2", "0x7f.2", "[::ffff:127.0.0.2]", "2130706434"] {
        let found = posted(&format!("http://{host}:{port}/"), LONG).await;
        assert!(
            matches!(found, Err(ExchangeError::Denied(_))),
            "{host}: {found:?}"
        );
    }
    let nowhere = self::exchange(names(&[&[]]), RootCertStore::empty(), LONG);
    let found = nowhere.post(post_to(&url)).await;
    assert!(matches!(found, Err(ExchangeError::Connect(_))), "{found:?}");
    assert_eq!(
        came.load(Ordering::SeqCst),
        0,
        "nobody ever came to 127.0.0.2"
    );
}

/// Makes an authority that the exchange trusts, and what its server shows for hooks.example.
fn authority() -> (RootCertStore, Arc<rustls::ServerConfig>) {
    let made = rcgen::generate_simple_self_signed(vec!["hooks.example".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    (roots, Arc::new(config))
}

#[tokio::test]
async fn tls_is_trusted_for_the_name_alone() {
    let (roots, config) = authority();
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    let port = endpoint(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            let mut buffer = [0u8; 4_096];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    })
    .await;
    let good = exchange(names(&[&["127.0.0.1"]]), roots, LONG);
    let answer = good
        .post(post_to(&format!("https://hooks.example:{port}/")))
        .await;
    assert_eq!(answer.unwrap().status, 200);
    for host in ["other.example", "127.0.0.1"] {
        let found = good.post(post_to(&format!("https://{host}:{port}/"))).await;
        assert!(
            matches!(found, Err(ExchangeError::Tls(_))),
            "{host}: {found:?}"
        );
    }
    let (others, _) = authority();
    let foreign = exchange(names(&[&["127.0.0.1"]]), others, LONG);
    let found = foreign
        .post(post_to(&format!("https://hooks.example:{port}/")))
        .await;
    assert!(matches!(found, Err(ExchangeError::Tls(_))), "{found:?}");
    let plain = answering("HTTP/1.1 200 OK\r\n\r\n").await;
    let found = good
        .post(post_to(&format!("https://hooks.example:{plain}/")))
        .await;
    assert!(
        matches!(
            found,
            Err(ExchangeError::Tls(_) | ExchangeError::TimedOut(_))
        ),
        "{found:?}"
    );
    let none = exchange(names(&[&["127.0.0.1"]]), RootCertStore::empty(), LONG);
    let found = none
        .post(post_to(&format!("https://hooks.example:{port}/")))
        .await;
    assert!(matches!(found, Err(ExchangeError::NoRoots)), "{found:?}");
}
