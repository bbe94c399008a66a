//! What the loops need of a protocol, and how a conversation begins.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// How long a step of a conversation's beginning may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The bytes of a whole answer at the start of the input; `None` if it is not all there yet.
pub type Whole = Result<Option<usize>, String>;

/// A protocol that asks and is answered.
pub trait Speaker {
    /// Opens a connection and makes what it will use; may block.
    fn open(&mut self, connection: usize) -> io::Result<TcpStream>;
    /// Appends a connection's next request.
    fn ask(&mut self, connection: usize, out: &mut Vec<u8>);
    /// Finds the answer at the start of the input; a refusal is an error.
    fn answer(&mut self, input: &[u8]) -> Whole;
}

/// Connects, with small messages sent at once.
pub fn connect(addr: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Asks and waits for the whole answer, of which nothing may be left over.
pub fn exchange(
    stream: &mut TcpStream,
    request: &[u8],
    mut whole: impl FnMut(&[u8]) -> Whole,
) -> io::Result<Vec<u8>> {
    stream.write_all(request)?;
    let mut input = Vec::new();
    let mut scratch = [0; 16 << 10];
    loop {
        match whole(&input).map_err(io::Error::other)? {
            Some(length) if length == input.len() => return Ok(input),
            Some(_) => return Err(io::Error::other("the server said more than it was asked")),
            None => {}
        }
        match stream.read(&mut scratch)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => input.extend_from_slice(&scratch[..count]),
        }
    }
}

/// Shows the start of what a server said.
pub fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(400)]);
    text.escape_debug().to_string()
}
