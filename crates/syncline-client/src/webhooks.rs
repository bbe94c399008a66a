//! Webhooks: made, read, changed, tested, and what became of their events.

use bytes::Bytes;
use http::Method;
use syncline_api::{Problem, ReceiptView};
use syncline_model::json::Json;

use crate::calls::{JSON, Query, Write, headers_of};
use crate::http::{Client, percent_encode, read_json};

impl Client {
    /// Makes a webhook: `{"url","scope","filter","where","mode","secret","description"}`. The
    /// answer has its `id`, and its `secret` for this once.
    pub async fn create_webhook(&self, webhook: &Json, write: &Write) -> Result<Json, Problem> {
        let body = Some((JSON, Bytes::from(webhook.to_text())));
        let answer = self
            .request(Method::POST, "/v1/webhooks", &headers_of(write), body)
            .await?;
        read_json(&answer.body)
    }

    /// Returns all webhooks, as they come.
    pub async fn webhooks(&self) -> Result<Json, Problem> {
        self.json("/v1/webhooks").await
    }

    /// Returns one webhook, as it comes.
    pub async fn webhook(&self, id: &str) -> Result<Json, Problem> {
        self.json(&path(id, "")).await
    }

    /// Changes a webhook in part; `{"enabled":true}` also calls an endpoint again that the node
    /// gave up.
    pub async fn change_webhook(
        &self,
        id: &str,
        wanted: &Json,
        write: &Write,
    ) -> Result<ReceiptView, Problem> {
        self.write(Method::PATCH, &path(id, ""), Some((JSON, wanted)), write)
            .await
    }

    /// Ends a webhook.
    pub async fn remove_webhook(&self, id: &str, write: &Write) -> Result<ReceiptView, Problem> {
        self.write(Method::DELETE, &path(id, ""), None, write).await
    }

    /// Posts a test event, and returns `{"status"}` or `{"error"}`.
    pub async fn test_webhook(&self, id: &str) -> Result<Json, Problem> {
        self.act(id, "/test", None).await
    }

    /// Makes a new secret, and returns it: `{"secret","old_signs_until"}`.
    pub async fn rotate_webhook(&self, id: &str) -> Result<Json, Problem> {
        self.act(id, "/rotate", None).await
    }

    /// Sends again: `{"change"}`, `{"dead":true}`, or `{"after","until"}`.
    pub async fn replay_webhook(&self, id: &str, what: &Json) -> Result<Json, Problem> {
        self.act(id, "/replay", Some(what)).await
    }

    async fn act(&self, id: &str, act: &str, body: Option<&Json>) -> Result<Json, Problem> {
        let path = path(id, act);
        let body = body.map(|body| (JSON, Bytes::from(body.to_text())));
        let answer = self.request(Method::POST, &path, &[], body).await?;
        read_json(&answer.body)
    }

    /// Returns the newest attempts, as they come.
    pub async fn webhook_attempts(&self, id: &str, limit: usize) -> Result<Json, Problem> {
        let mut query = Query::default();
        query.add("limit", &limit.to_string());
        self.json(&format!("{}{query}", path(id, "/attempts")))
            .await
    }

    /// Returns a page of the events that were given up, as they come.
    pub async fn webhook_dead(&self, id: &str, page: Option<&str>) -> Result<Json, Problem> {
        let mut query = Query::default();
        if let Some(page) = page {
            query.add("page", page);
        }
        self.json(&format!("{}{query}", path(id, "/dead"))).await
    }
}

fn path(id: &str, act: &str) -> String {
    format!("/v1/webhooks/{}{act}", percent_encode(id))
}
