//! A node on a Unix socket, and agents that speak MCP to it.

use std::sync::Arc;
use std::time::Duration;

use syncline_api::Problem;
use syncline_client::{Client, ClientOptions, Target};
use syncline_engine::{Engine, Settings, SystemClock};
use syncline_http::{Doors, Keys, Listeners, NodeInfo, serve};
use syncline_mcp::McpOptions;
use syncline_model::ids::Name;
use syncline_model::json::{Json, Limits};
use syncline_model::time::Timestamp;
use syncline_store::MemoryStore;
use tempfile::TempDir;
use tokio::io::{
    AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf, duplex, split,
};
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Nothing here takes longer, unless something hangs.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct House {
    pub client: Client,
    _dir: TempDir,
    _stop: oneshot::Sender<()>,
}

/// Starts a node.
pub async fn house() -> House {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("node.sock");
    let store = Arc::new(MemoryStore::new());
    let engine = Engine::open(store, Arc::new(SystemClock), Settings::default())
        .await
        .unwrap();
    let node = NodeInfo {
        name: "test".to_owned(),
        version: "0".to_owned(),
        started_at: Timestamp(0),
    };
    let doors = Doors::new(engine, Keys::owner("key"), node);
    let listeners = Listeners {
        tcp: None,
        unix: Some(UnixListener::bind(&socket).unwrap()),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(serve(doors, listeners, async {
        let _ = stopped.await;
    }));
    let client = Client::connect(Target::Socket(socket), ClientOptions::default()).unwrap();
    House {
        client,
        _dir: dir,
        _stop: stop,
    }
}

/// Starts something that answers each request as it is told: a status, and a JSON body.
pub async fn fake_house(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> House {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("node.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serve = async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut request = String::new();
            stream.read_line(&mut request).await.unwrap();
            let mut header = String::new();
            while header != "\r\n" {
                header.clear();
                stream.read_line(&mut header).await.unwrap();
            }
            let (status, body) = answer(request.trim_end());
            let length = body.len();
            let text = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            stream.write_all(text.as_bytes()).await.unwrap();
        }
    };
    tokio::spawn(async move {
        tokio::select! {
            () = serve => {}
            _ = stopped => {}
        }
    });
    let client = Client::connect(Target::Socket(socket), ClientOptions::default()).unwrap();
    House {
        client,
        _dir: dir,
        _stop: stop,
    }
}

pub struct Agent {
    input: Option<WriteHalf<DuplexStream>>,
    output: BufReader<ReadHalf<DuplexStream>>,
    task: JoinHandle<Result<(), Problem>>,
    next_id: u64,
}

/// A tool's answer.
#[derive(Debug)]
pub struct Called {
    pub text: String,
    pub structured: Json,
    pub is_error: bool,
}

impl House {
    /// Connects an agent that has not yet said anything.
    pub async fn stranger(&self, name: Option<&str>) -> Agent {
        let (near, far) = duplex(64 << 10);
        let (input, output) = split(far);
        let options = McpOptions {
            agent: name.map(|name| Name::parse(name).unwrap()),
            session: None,
        };
        let task = tokio::spawn(syncline_mcp::run(
            self.client.clone(),
            options,
            input,
            output,
        ));
        let (output, input) = split(near);
        Agent {
            input: Some(input),
            output: BufReader::new(output),
            task,
            next_id: 1,
        }
    }

    /// Connects an agent that has said `initialize`.
    pub async fn agent(&self, name: &str) -> Agent {
        let mut agent = self.stranger(Some(name)).await;
        agent.initialize("test-program").await;
        agent
    }
}

impl Agent {
    pub async fn initialize(&mut self, program: &str) -> Json {
        let params = format!(
            r#"{{"protocolVersion":"2025-11-25","capabilities":{{}},"clientInfo":{{"name":"{program}","version":"1"}}}}"#
        );
        let answer = self.request("initialize", &params).await;
        self.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
            .await;
        answer
    }

    /// Sends one line.
    pub async fn send(&mut self, line: impl AsRef<[u8]>) {
        let input = self.input.as_mut().unwrap();
        let write = async {
            input.write_all(line.as_ref()).await.unwrap();
            input.write_all(b"\n").await.unwrap();
        };
        tokio::time::timeout(PATIENCE, write).await.unwrap();
    }

    /// Reads one line, which must be JSON-RPC; none at the end.
    pub async fn receive(&mut self) -> Option<Json> {
        let mut line = Vec::new();
        let read = self.output.read_until(b'\n', &mut line);
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        if line.is_empty() {
            return None;
        }
        for end in ["\u{2028}", "\u{2029}", "\u{85}"] {
            let bytes = end.as_bytes();
            assert!(!line.windows(bytes.len()).any(|window| window == bytes));
        }
        let message = Json::parse(&line, &Limits::wire()).unwrap();
        assert_eq!(message.get("jsonrpc").unwrap().as_str(), Some("2.0"));
        Some(message)
    }

    /// Sends a request and returns its answer.
    pub async fn request(&mut self, method: &str, params: &str) -> Json {
        let id = self.post(method, params).await;
        let answer = self.receive().await.unwrap();
        assert_eq!(answer.get("id").unwrap().as_u64(), Some(id), "{answer:?}");
        answer
    }

    /// Sends a request and returns its id.
    pub async fn post(&mut self, method: &str, params: &str) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let line =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        self.send(&line).await;
        id
    }

    /// Calls a tool.
    pub async fn call(&mut self, tool: &str, arguments: &str) -> Called {
        let params = format!(r#"{{"name":"{tool}","arguments":{arguments}}}"#);
        Called::read(&self.request("tools/call", &params).await)
    }

    /// Calls a tool that must do what it was asked.
    pub async fn good(&mut self, tool: &str, arguments: &str) -> Called {
        let called = self.call(tool, arguments).await;
        assert!(!called.is_error, "{tool} {arguments}: {}", called.text);
        called
    }

    /// Calls a tool that must refuse, and returns the error's code.
    pub async fn bad(&mut self, tool: &str, arguments: &str) -> Called {
        let called = self.call(tool, arguments).await;
        assert!(called.is_error, "{tool} {arguments}: {}", called.text);
        called
    }

    /// Ends the input, and returns what `run` returned.
    pub async fn hang_up(mut self) -> (Vec<Json>, Result<(), Problem>) {
        self.input.take().unwrap().shutdown().await.unwrap();
        let mut rest = Vec::new();
        while let Some(message) = self.receive().await {
            rest.push(message);
        }
        (rest, self.task.await.unwrap())
    }
}

impl Called {
    /// Reads an answer, and holds its two forms against each other.
    pub fn read(answer: &Json) -> Called {
        let result = answer.get("result").unwrap_or_else(|| panic!("{answer:?}"));
        let content = result.get("content").unwrap().as_array().unwrap();
        assert_eq!(content.len(), 1);
        let called = Called {
            text: content[0].get("text").unwrap().as_str().unwrap().to_owned(),
            structured: result.get("structuredContent").unwrap().clone(),
            is_error: result
                .get("isError")
                .is_some_and(|e| e.as_bool() == Some(true)),
        };
        called.assert_same();
        called
    }

    pub fn code(&self) -> &str {
        let error = self.structured.get("error").unwrap();
        error.get("code").unwrap().as_str().unwrap()
    }

    /// Every value of the structure stands in the text, plainly or as JSON.
    fn assert_same(&self) {
        assert!(
            self.text.chars().all(|c| c == '\n' || !c.is_control()),
            "{:?}",
            self.text
        );
        let mut open = vec![&self.structured];
        while let Some(value) = open.pop() {
            match value {
                Json::Object(object) => open.extend(object.values()),
                Json::Array(items) => open.extend(items.iter()),
                Json::String(text) => {
                    let quoted = escaped(&Json::from(&**text).to_text());
                    let there = self.text.contains(&escaped(text)) || self.text.contains(&quoted);
                    assert!(there, "{text:?} is not in {:?}", self.text);
                }
                Json::Number(number) => {
                    let number = number.to_string();
                    assert!(self.text.contains(&number), "{number} in {:?}", self.text);
                }
                // A flag stands there by its name or by a word of its own.
                Json::Bool(_) | Json::Null => {}
            }
        }
    }
}

/// Escapes what the door escapes, by an independent list.
fn escaped(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || "\u{ad}\u{61c}\u{180e}\u{200b}\u{200e}\u{200f}\u{feff}".contains(c)
            || ('\u{2028}'..='\u{202e}').contains(&c)
            || ('\u{2060}'..='\u{206f}').contains(&c)
            || ('\u{fff9}'..='\u{fffb}').contains(&c)
            || ('\u{e0000}'..='\u{e0fff}').contains(&c)
    };
    let escape = |c: char| -> String {
        let mut units = [0; 2];
        let units = c.encode_utf16(&mut units).iter();
        units.map(|unit| format!("\\u{unit:04x}")).collect()
    };
    text.chars()
        .map(|c| if hidden(c) { escape(c) } else { c.to_string() })
        .collect()
}
