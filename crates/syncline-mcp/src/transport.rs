//! JSON-RPC over lines, read and written so that documents stay exact.
//!
//! rmcp's own transport would read a whole line into `serde_json::Value`, which rounds numbers,
//! keeps the last of duplicate keys and has keys with a magic meaning, and it drops without an
//! answer what it cannot read. Here a line goes through our strict reader; the arguments of a
//! tool call travel beside the request, and rmcp gets the envelope only.

use std::io;
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    ClientRequest, ErrorCode, ErrorData, JsonRpcMessage, NumberOrString, RequestId,
    ServerJsonRpcMessage, ServerResult,
};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use syncline_model::json::{Json, JsonError, Limits};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Bounds a line: a body of 10 MiB as JSON text, whose quotes are escaped, and its envelope.
const LINE_BYTES_MAX: usize = 16 << 20;
/// Bounds a line's depth: a document's 64 levels, `body`, `arguments`, `params` and the envelope.
const LINE_DEPTH_MAX: usize = 72;
/// What is kept of a line that is too long, to find its id in.
const PREFIX_BYTES: usize = 4096;
/// Bounds the answers that wait for a client that does not read.
const ANSWERS_MAX: usize = 16;
/// How long the last answers may take to leave.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// The arguments of a tool call, as they were sent.
#[derive(Clone, Debug)]
pub(crate) struct Arguments(pub(crate) Option<Json>);

/// A transport over a reader and a writer of lines.
pub(crate) struct Lines<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    /// The rest of a line that is too long is skipped.
    skipping: bool,
    /// An answer that was not yet taken by the writer; [`Transport::receive`] can be cancelled.
    reply: Option<Vec<u8>>,
    output: Option<mpsc::Sender<Vec<u8>>>,
    writer: JoinHandle<()>,
    closed: watch::Sender<bool>,
}

impl<R: AsyncRead + Send + Unpin> Lines<R> {
    /// Makes a transport, and a flag that rises when `input` ends.
    pub(crate) fn new<W>(input: R, output: W) -> (Lines<R>, watch::Receiver<bool>)
    where
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, receiver) = mpsc::channel(ANSWERS_MAX);
        let (closed, is_closed) = watch::channel(false);
        let lines = Lines {
            input: BufReader::new(input),
            line: Vec::new(),
            skipping: false,
            reply: None,
            output: Some(sender),
            writer: tokio::spawn(write_lines(output, receiver)),
            closed,
        };
        (lines, is_closed)
    }

    /// Reads on until a line is whole; cancelled, it goes on where it was.
    async fn read_line(&mut self) -> io::Result<Read> {
        loop {
            let available = self.input.fill_buf().await?;
            if available.is_empty() {
                return Ok(Read::End);
            }
            let newline = available.iter().position(|b| *b == b'\n');
            let taken = newline.map_or(available.len(), |at| at + 1);
            if !self.skipping {
                self.line.extend_from_slice(&available[..taken]);
            }
            self.input.consume(taken);
            let too_long = self.line.len() > LINE_BYTES_MAX;
            if too_long {
                self.line.truncate(PREFIX_BYTES);
                self.line.shrink_to_fit();
                self.skipping = true;
            }
            match (newline, self.skipping) {
                (Some(_), true) => return Ok(Read::TooLong),
                (Some(_), false) => return Ok(Read::Line),
                (None, _) => {}
            }
        }
    }

    /// Waits for the writer to take the reply that is due; cancelled, it is still due.
    async fn send_reply(&mut self) -> Option<()> {
        if self.reply.is_some() {
            let place = self.output.as_ref()?.reserve().await.ok()?;
            if let Some(reply) = self.reply.take() {
                place.send(reply);
            }
        }
        Some(())
    }
}

enum Read {
    Line,
    TooLong,
    End,
}

impl<R: AsyncRead + Send + Unpin + 'static> Transport<RoleServer> for Lines<R> {
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let output = self.output.clone();
        async move {
            let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
            let line = encode(message)?;
            output
                .ok_or_else(gone)?
                .send(line)
                .await
                .map_err(|_| gone())
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            self.send_reply().await?;
            let read = self.read_line().await.unwrap_or_else(|error| {
                tracing::debug!(%error, "input failed");
                Read::End
            });
            let decoded = match read {
                Read::Line => decode(&self.line),
                Read::TooLong => Err(too_long(&self.line)),
                Read::End => {
                    self.closed.send_replace(true);
                    return None;
                }
            };
            self.line.clear();
            // One large body must not hold its memory for the rest of the session.
            self.line.shrink_to(PREFIX_BYTES);
            self.skipping = false;
            match decoded {
                Ok(Some(message)) => return Some(message),
                Ok(None) => {}
                Err(refusal) => self.reply = encode(refusal).ok(),
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.closed.send_replace(true);
        self.output = None;
        if tokio::time::timeout(CLOSE_MAX, &mut self.writer)
            .await
            .is_err()
        {
            self.writer.abort();
        }
        Ok(())
    }
}

/// Writes what comes, and flushes when nothing more waits.
async fn write_lines<W: AsyncWrite + Unpin>(mut output: W, mut lines: mpsc::Receiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        let mut written = output.write_all(&line).await;
        if written.is_ok() && lines.is_empty() {
            written = output.flush().await;
        }
        if let Err(error) = written {
            tracing::debug!(%error, "output failed");
            return;
        }
    }
}

/// Reads a line; an empty one, and a notification that rmcp does not know, are none.
fn decode(line: &[u8]) -> Result<Option<RxJsonRpcMessage<RoleServer>>, Box<ServerJsonRpcMessage>> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    let limits = Limits {
        bytes_max: LINE_BYTES_MAX,
        depth_max: LINE_DEPTH_MAX,
    };
    let mut message = Json::parse(line, &limits).map_err(|error| unreadable(line, &error))?;
    let arguments = take_arguments(&mut message);
    match serde_json::from_str(&message.to_text()) {
        Ok(JsonRpcMessage::Request(mut request)) => {
            if let ClientRequest::CallToolRequest(call) = &mut request.request {
                call.extensions.insert(Arguments(arguments));
            }
            Ok(Some(JsonRpcMessage::Request(request)))
        }
        Ok(message) => Ok(Some(message)),
        Err(_) if message.get("method").is_some() && message.get("id").is_none() => Ok(None),
        Err(error) => {
            tracing::debug!(%error, "a line is no message");
            let what = "the line is JSON, but no JSON-RPC message of MCP";
            let id = message.get("id").and_then(request_id);
            Err(refusal(ErrorCode::INVALID_REQUEST, what.to_owned(), id))
        }
    }
}

/// Takes a tool call's arguments out of its message.
fn take_arguments(message: &mut Json) -> Option<Json> {
    if message.get("method").and_then(Json::as_str) != Some("tools/call") {
        return None;
    }
    let params = message
        .as_object_mut()?
        .get_mut("params")?
        .as_object_mut()?;
    params.remove("arguments")
}

fn unreadable(line: &[u8], error: &JsonError) -> Box<ServerJsonRpcMessage> {
    let mut what = error.to_string();
    if !error.pointer.is_root() {
        what = format!("{what} (in {})", error.pointer);
    }
    let what = crate::quote::sentence(&crate::quote::cut(&what, 500));
    refusal(ErrorCode::PARSE_ERROR, what, find_id(line))
}

fn too_long(prefix: &[u8]) -> Box<ServerJsonRpcMessage> {
    let what = format!("the message is longer than {LINE_BYTES_MAX} bytes");
    refusal(ErrorCode::INVALID_REQUEST, what, find_id(prefix))
}

fn refusal(code: ErrorCode, what: String, id: Option<RequestId>) -> Box<ServerJsonRpcMessage> {
    Box::new(JsonRpcMessage::error(ErrorData::new(code, what, None), id))
}

fn request_id(id: &Json) -> Option<RequestId> {
    match id {
        Json::String(text) => Some(NumberOrString::String(text.clone())),
        other => other.as_i64().map(NumberOrString::Number),
    }
}

/// Finds the id of a message that cannot be read, so that its sender does not wait for ever.
fn find_id(line: &[u8]) -> Option<RequestId> {
    let mut depth = 0usize;
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            b'"' => {
                let end = string_end(line, at)?;
                if depth == 1 && &line[at..end] == b"\"id\"" {
                    let value = line[end..].trim_ascii_start().strip_prefix(b":")?;
                    return id_at(value.trim_ascii_start());
                }
                at = end;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Returns where the string that begins at `start` has ended.
fn string_end(line: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match line.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn id_at(value: &[u8]) -> Option<RequestId> {
    let end = match value.first()? {
        b'"' => string_end(value, 0)?,
        _ => value
            .iter()
            .position(|b| b.is_ascii_whitespace() || b",}".contains(b))?,
    };
    request_id(&Json::parse(&value[..end], &Limits::default()).ok()?)
}

/// Writes a message as one line.
///
/// A tool's structured answer comes as JSON text in a string, and goes out as that JSON.
fn encode(message: impl Into<Box<ServerJsonRpcMessage>>) -> io::Result<Vec<u8>> {
    let mut message = *message.into();
    let structured = match &mut message {
        JsonRpcMessage::Response(response) => match &mut response.result {
            ServerResult::CallToolResult(result) => result.structured_content.take(),
            _ => None,
        },
        _ => None,
    };
    let mut text = serde_json::to_string(&message)?;
    if let Some(structured) = structured {
        text = with_structured(&text, structured.as_str().unwrap_or("{}"))?;
    }
    // Some programs take these for the end of a line; within JSON they stand in strings only.
    for (c, escaped) in [
        ('\u{85}', "\\u0085"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ] {
        if text.contains(c) {
            text = text.replace(c, escaped);
        }
    }
    text.push('\n');
    Ok(text.into_bytes())
}

fn with_structured(message: &str, structured: &str) -> io::Result<String> {
    let limits = Limits {
        bytes_max: usize::MAX,
        depth_max: 128,
    };
    let read = |text: &str| Json::parse(text.as_bytes(), &limits).map_err(io::Error::other);
    let mut message = read(message)?;
    let result = message.as_object_mut().and_then(|m| m.get_mut("result"));
    if let Some(result) = result.and_then(Json::as_object_mut) {
        result.insert("structuredContent", read(structured)?);
    }
    Ok(message.to_text())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check_id(line: &str, expected: Option<RequestId>) {
        assert_eq!(find_id(line.as_bytes()), expected, "{line}");
    }

    #[test]
    fn the_id_of_an_unreadable_message_is_found() {
        let text = |id: &str| Some(NumberOrString::String(id.into()));
        check_id(r#"{"id":7,"params":{"#, Some(NumberOrString::Number(7)));
        check_id(
            r#"{"p":{"id":1},"x":"\"id\":2","id": "a\"b" ,"#,
            text("a\"b"),
        );
        check_id(r#"{"p":[[["id",3]],"id":4"#, None);
        check_id(r#"{"id":null}"#, None);
        check_id(r#"{"id":1.5}"#, None);
        check_id("]]]]", None);
        check_id("{\"id", None);
        check_id("{\"id\\", None);
        check_id("", None);
    }

    #[test]
    fn arguments_travel_beside_the_request_exactly() {
        let line = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"n":12345678901234567890123,"m":1.0}}}"#;
        let message = decode(line).unwrap().unwrap();
        let (request, _) = message.into_request().unwrap();
        let ClientRequest::CallToolRequest(call) = request else {
            panic!("a tool call is one")
        };
        assert_eq!(call.params.arguments, None);
        let Arguments(arguments) = call.extensions.get::<Arguments>().unwrap();
        let text = arguments.as_ref().unwrap().to_text();
        assert_eq!(text, r#"{"m":1.0,"n":12345678901234567890123}"#);
    }

    #[test]
    fn structured_answers_go_out_as_they_are() {
        let text = r#"{"jsonrpc":"2.0","result":{"content":[]}}"#;
        let spliced = with_structured(text, r#"{"n":12345678901234567890123}"#).unwrap();
        assert_eq!(
            spliced,
            r#"{"jsonrpc":"2.0","result":{"content":[],"structuredContent":{"n":12345678901234567890123}}}"#
        );
    }
}
