//! Durable subscriptions: defining them, taking what is next, acknowledging it.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use syncline_api::{Problem, ReceiptView};
use syncline_model::ids::ChangeId;
use syncline_model::json::{Json, Object};

use crate::calls::{JSON, Write};
use crate::http::{Client, percent_encode};

/// What is taken at once, and how long is waited for it.
#[derive(Clone, Debug, Default)]
pub struct NextQuery {
    /// At most so many changes; absent is what the node has as its page.
    pub limit: Option<usize>,
    /// At most about so many bytes.
    pub max_bytes: Option<usize>,
    /// How long is waited for the first.
    pub wait: Duration,
    /// How long is waited for more, once there is one.
    pub batch: Duration,
    /// Who asks; absent is the session or agent of the client.
    pub consumer: Option<String>,
    /// As a digest within so many bytes.
    pub digest: Option<usize>,
}

/// Whose delivery is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscriber<'a> {
    /// All subscribers.
    All,
    /// A durable subscription, by its name.
    Durable(&'a str),
    /// A webhook, by its id.
    Webhook(&'a str),
    /// A live subscription.
    Live {
        /// The connection, as its `welcome` names it.
        connection: &'a str,
        /// The subscription's id on it.
        sub: &'a str,
    },
}

impl Client {
    /// Defines a durable subscription; returns it as it comes.
    pub async fn put_subscription(&self, definition: &Json) -> Result<Json, Problem> {
        self.post("/v1/subscriptions", definition).await
    }

    /// Returns all durable subscriptions, as they come.
    pub async fn subscriptions(&self) -> Result<Json, Problem> {
        self.all_pages("/v1/subscriptions", "subscriptions").await
    }

    /// Returns one, as it comes.
    pub async fn subscription(&self, name: &str) -> Result<Json, Problem> {
        self.json(&of(name, "")).await
    }

    /// Takes a durable subscription back.
    pub async fn remove_subscription(
        &self,
        name: &str,
        write: &Write,
    ) -> Result<ReceiptView, Problem> {
        self.write(Method::DELETE, &of(name, ""), None, write).await
    }

    /// Takes what is next in turn, as it comes: `{"deliveries":[…],"cursor"}`.
    pub async fn next(&self, name: &str, query: &NextQuery) -> Result<Json, Problem> {
        let mut path = of(name, "/next");
        let numbers = [
            ("limit", query.limit),
            ("max_bytes", query.max_bytes),
            ("budget_bytes", query.digest),
        ];
        let _ = write!(path, "?wait_ms={}", query.wait.as_millis());
        let _ = write!(path, "&batch_ms={}", query.batch.as_millis());
        for (key, number) in numbers {
            if let Some(number) = number {
                let _ = write!(path, "&{key}={number}");
            }
        }
        if query.digest.is_some() {
            path.push_str("&digest=true");
        }
        if let Some(consumer) = &query.consumer {
            let _ = write!(path, "&consumer={}", percent_encode(consumer));
        }
        let patience = self.options().timeout + query.wait + query.batch;
        self.request_within(patience, Method::GET, &path, &[], None)
            .await?
            .json()
    }

    /// Acknowledges: `{"cursor"}`, `{"cursors":[…]}`, with a `consumer` where one is named.
    pub async fn ack(&self, name: &str, body: &Json) -> Result<Json, Problem> {
        self.post(&of(name, "/ack"), body).await
    }

    /// Gives one delivery back: `{"cursor","delay_ms","reason"}`.
    pub async fn nack(&self, name: &str, body: &Json) -> Result<Json, Problem> {
        self.post(&of(name, "/nack"), body).await
    }

    /// Goes to another place: `{"cursor"}`, `{"time"}`, `{"start":true}` or `{"now":true}`.
    pub async fn seek(&self, name: &str, body: &Json) -> Result<Json, Problem> {
        self.post(&of(name, "/seek"), body).await
    }

    /// Returns what was given up, oldest first, as it comes.
    pub async fn dead_letters(&self, name: &str, after: Option<&str>) -> Result<Json, Problem> {
        let query = after.map(|after| format!("?after={}", percent_encode(after)));
        self.json(&of(name, &format!("/dead{}", query.unwrap_or_default())))
            .await
    }

    /// Delivers a dead letter once more.
    pub async fn replay_dead_letter(&self, name: &str, cursor: &str) -> Result<Json, Problem> {
        let path = of(name, &format!("/dead/{}/replay", percent_encode(cursor)));
        self.post(&path, &Json::Object(Object::new())).await
    }

    /// Explains what became of a change, for one subscriber or for all, as it comes.
    pub async fn explain_delivery(
        &self,
        change: &ChangeId,
        subscriber: &Subscriber<'_>,
    ) -> Result<Json, Problem> {
        let mut path = format!("/v1/explain/delivery?change={change}");
        let _ = match subscriber {
            Subscriber::All => Ok(()),
            Subscriber::Durable(name) => {
                write!(path, "&subscription={}", percent_encode(name))
            }
            Subscriber::Webhook(id) => write!(path, "&webhook={}", percent_encode(id)),
            Subscriber::Live { connection, sub } => {
                let (connection, sub) = (percent_encode(connection), percent_encode(sub));
                write!(path, "&connection={connection}&sub={sub}")
            }
        };
        self.json(&path).await
    }

    async fn post(&self, path: &str, body: &Json) -> Result<Json, Problem> {
        let body = Some((JSON, Bytes::from(body.to_text())));
        self.request(Method::POST, path, &[], body).await?.json()
    }
}

fn of(name: &str, rest: &str) -> String {
    format!("/v1/subscriptions/{}{rest}", percent_encode(name))
}
