//! One connection without blocking: what waits to be sent, and what came of an answer so far.

use std::io::{self, ErrorKind, Read as _, Write as _};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// What a read brings at most; one buffer serves all connections.
pub const READ_BYTES: usize = 256 << 10;

pub struct Pipe {
    stream: TcpStream,
    input: Vec<u8>,
    out: Vec<u8>,
    sent: usize,
}

impl Pipe {
    /// Takes a connection over that has blocked so far.
    pub fn new(stream: std::net::TcpStream, registry: &Registry, token: usize) -> io::Result<Pipe> {
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(
            &mut stream,
            Token(token),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        Ok(Pipe {
            stream,
            input: Vec::new(),
            out: Vec::new(),
            sent: 0,
        })
    }

    /// Returns where what is to be sent is written.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Sends what waits, as far as the socket takes it.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(())
    }

    /// Reads all that is there. `eat` is given what is not yet used up, and says how much it used.
    pub fn read(
        &mut self,
        scratch: &mut [u8],
        mut eat: impl FnMut(&[u8]) -> Result<usize, String>,
    ) -> Result<(), String> {
        loop {
            let count = match self.stream.read(scratch) {
                Ok(0) => return Err("the server closed a connection".to_owned()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("a connection broke: {error}")),
            };
            if self.input.is_empty() {
                let used = eat(&scratch[..count])?;
                self.input.extend_from_slice(&scratch[used..count]);
            } else {
                self.input.extend_from_slice(&scratch[..count]);
                let used = eat(&self.input)?;
                self.input.drain(..used);
            }
            // A read that did not fill the buffer has emptied the socket; the next event tells.
            if count < scratch.len() {
                return Ok(());
            }
        }
    }
}
