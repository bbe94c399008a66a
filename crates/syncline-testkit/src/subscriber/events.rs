//! Server-sent events, taken apart.

/// One server-sent event.
pub struct SseEvent {
    /// What happened.
    pub name: String,
    /// Its cursor.
    pub id: Option<String>,
    /// Its JSON.
    pub data: String,
}

/// Takes a chunked stream of events apart. Lines end with `\n` only.
#[derive(Default)]
pub struct Events {
    raw: Vec<u8>,
    head: Option<u16>,
    text: Vec<u8>,
}

impl Events {
    /// Takes bytes as they come from the socket, the answer's head first.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        if self.head.is_none() {
            let Some(end) = self.raw.windows(4).position(|w| w == b"\r\n\r\n") else {
                return;
            };
            let head = String::from_utf8_lossy(&self.raw[..end]).into_owned();
            self.head = head
                .split_whitespace()
                .nth(1)
                .and_then(|status| status.parse().ok());
            self.raw.drain(..end + 4);
        }
        while let Some(line) = self.raw.windows(2).position(|w| w == b"\r\n") {
            let size = String::from_utf8_lossy(&self.raw[..line]).trim().to_owned();
            let Ok(size) = usize::from_str_radix(&size, 16) else {
                return;
            };
            if self.raw.len() < line + 2 + size + 2 {
                return;
            }
            self.text
                .extend_from_slice(&self.raw[line + 2..line + 2 + size]);
            self.raw.drain(..line + 4 + size);
        }
    }

    pub(super) fn refused(&self) -> Option<u16> {
        self.head.filter(|status| *status != 200)
    }

    /// Returns the next whole event.
    pub fn take(&mut self) -> Option<SseEvent> {
        loop {
            let end = self.text.windows(2).position(|w| w == b"\n\n")?;
            let block: Vec<u8> = self.text.drain(..end + 2).collect();
            let block = String::from_utf8_lossy(&block).into_owned();
            let field = |name: &str| {
                let lines = block.split('\n').filter_map(|line| line.strip_prefix(name));
                lines
                    .map(|rest| rest.strip_prefix(' ').unwrap_or(rest))
                    .collect::<Vec<_>>()
            };
            let data = field("data:").join("\n");
            if data.is_empty() {
                continue;
            }
            let name = field("event:")
                .first()
                .map_or("message", |name| name)
                .to_owned();
            return Some(SseEvent {
                name,
                id: field("id:").first().map(|&id| id.to_owned()),
                data,
            });
        }
    }
}
