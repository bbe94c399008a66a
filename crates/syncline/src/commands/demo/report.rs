//! What an agent tells the demo about each write, as a line of JSON on its stdout.

use std::time::{SystemTime, UNIX_EPOCH};

use syncline_model::ids::{Address, ChangeId};
use syncline_model::json::{Fields, Json, JsonWriter, Limits, Pointer};

/// One write of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The node acknowledged it.
    Acknowledged {
        /// The change.
        id: ChangeId,
        /// Through which door.
        door: Door,
        /// When it was sent, in microseconds since 1970.
        sent_us: u64,
        /// When the receipt came.
        acked_us: u64,
        /// The head already said so, and no change was made.
        unchanged: bool,
    },
    /// The head had moved: the agent reads again and tries anew.
    Clash {
        /// Which context.
        context: Address,
    },
    /// The node refused it for good.
    Refused {
        /// Why.
        why: String,
    },
}

/// A way to the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// WebSocket over the Unix socket.
    WebSocket,
    /// HTTP over TCP, with the owner's key.
    Http,
}

impl Door {
    fn as_str(self) -> &'static str {
        match self {
            Door::WebSocket => "websocket",
            Door::Http => "http",
        }
    }
}

/// Returns microseconds since 1970; all processes of a demo share one clock.
pub fn now_us() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

impl Report {
    /// Returns the line.
    pub fn to_text(&self) -> String {
        let mut w = JsonWriter::new();
        w.begin_object();
        match self {
            Report::Acknowledged {
                id,
                door,
                sent_us,
                acked_us,
                unchanged,
            } => {
                w.field_str("id", &id.to_string());
                w.field_str("door", door.as_str());
                w.field_u64("sent_us", *sent_us);
                w.field_u64("acked_us", *acked_us);
                w.field_bool("unchanged", *unchanged);
            }
            Report::Clash { context } => w.field_str("clash", context.as_str()),
            Report::Refused { why } => w.field_str("refused", why),
        }
        w.end_object();
        w.into_string()
    }

    /// Reads a line.
    pub fn read(line: &str) -> Option<Report> {
        let json = Json::parse(line.as_bytes(), &Limits::default()).ok()?;
        let mut f = Fields::new(&json, &Pointer::root()).ok()?;
        if let Some(context) = f.parse("clash", Address::parse).ok()? {
            return Some(Report::Clash { context });
        }
        if let Some(why) = f.string("refused").ok()? {
            return Some(Report::Refused {
                why: why.to_owned(),
            });
        }
        let door = match f.string("door").ok()?? {
            "http" => Door::Http,
            _ => Door::WebSocket,
        };
        Some(Report::Acknowledged {
            id: f.required_parse("id", ChangeId::parse).ok()?,
            door,
            sent_us: f.required_u64("sent_us").ok()?,
            acked_us: f.required_u64("acked_us").ok()?,
            unchanged: f.bool("unchanged").ok()?.unwrap_or(false),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reports_round_trip() {
        let id = ChangeId::from_parts(5, &[1; 10]);
        for report in [
            Report::Acknowledged {
                id,
                door: Door::Http,
                sent_us: 1,
                acked_us: 2,
                unchanged: true,
            },
            Report::Clash {
                context: Address::parse("task/a").unwrap(),
            },
            Report::Refused {
                why: "no".to_owned(),
            },
        ] {
            assert_eq!(Report::read(&report.to_text()), Some(report));
        }
        assert_eq!(Report::read("garbage"), None);
    }
}
