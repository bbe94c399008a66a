//! A network that fails: a TCP proxy that cuts and delays what passes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Stands between a client and a node.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accept: JoinHandle<()>,
}

struct Shared {
    upstream: Mutex<String>,
    delay_ms: AtomicU64,
    /// Counts cuts; each ends the connections that were open.
    cut: watch::Sender<u64>,
}

impl Proxy {
    /// Listens on a port of its own. Until [`Proxy::lead_to`], whoever comes is turned away.
    pub async fn start() -> std::io::Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream: Mutex::default(),
            delay_ms: AtomicU64::new(0),
            cut: watch::channel(0).0,
        });
        let accept = tokio::spawn(accept(listener, shared.clone()));
        Ok(Proxy {
            address,
            shared,
            accept,
        })
    }

    /// Returns where it listens.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// Passes on to `upstream`, a `host:port`, from now on.
    ///
    /// # Panics
    /// Never: nothing panics while the name is locked.
    pub fn lead_to(&self, upstream: &str) {
        upstream.clone_into(&mut self.shared.upstream.lock().expect("nothing panics with it"));
    }

    /// Ends all connections that are open now, in the middle of whatever they carry.
    pub fn cut(&self) {
        self.shared.cut.send_modify(|count| *count += 1);
    }

    /// Delays each piece from now on.
    pub fn delay(&self, delay: Duration) {
        let ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.shared.delay_ms.store(ms, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accept.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let shared = shared.clone();
        tokio::spawn(async move {
            let mut cut = shared.cut.subscribe();
            let upstream = shared
                .upstream
                .lock()
                .expect("nothing panics with it")
                .clone();
            let Ok(node) = TcpStream::connect(upstream).await else {
                return;
            };
            let _ = (client.set_nodelay(true), node.set_nodelay(true));
            let (client_in, client_out) = client.into_split();
            let (node_in, node_out) = node.into_split();
            tokio::select! {
                () = pass(client_in, node_out, &shared) => {}
                () = pass(node_in, client_out, &shared) => {}
                _ = cut.changed() => {}
            }
        });
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared) {
    let mut buffer = vec![0u8; 8 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let delay = shared.delay_ms.load(Ordering::Relaxed);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
