//! What is declared beside contexts: names of versions, and what a kind's documents look like.

use http::Method;
use syncline_api::{Problem, ReceiptView};
use syncline_model::ids::{Address, Kind, Name, Version};
use syncline_model::json::{Json, Object};

use crate::calls::{JSON, MERGE_PATCH, Write};
use crate::http::{Client, percent_encode};

impl Client {
    /// Returns the tags of a context, as they come.
    pub async fn tags(&self, address: &Address) -> Result<Json, Problem> {
        self.json(&format!("/v1/contexts/{address}/tags")).await
    }

    /// Names a version.
    pub async fn put_tag(
        &self,
        address: &Address,
        name: &Name,
        version: Version,
        write: &Write,
    ) -> Result<ReceiptView, Problem> {
        let mut body = Object::new();
        body.insert("name", Json::from(name.as_str()));
        body.insert("version", Json::from(version.0));
        let path = format!("/v1/contexts/{address}/tags");
        let body = Json::Object(body);
        self.write(Method::POST, &path, Some((JSON, &body)), write)
            .await
    }

    /// Takes a version's name away.
    pub async fn remove_tag(
        &self,
        address: &Address,
        name: &Name,
        write: &Write,
    ) -> Result<ReceiptView, Problem> {
        let name = percent_encode(name.as_str());
        let path = format!("/v1/contexts/{address}/tags/{name}");
        self.write(Method::DELETE, &path, None, write).await
    }

    /// Returns all kinds that have a schema, as they come.
    pub async fn schemas(&self) -> Result<Json, Problem> {
        self.all_pages("/v1/schemas", "schemas").await
    }

    /// Returns what is declared for a kind, or was at a version, as it comes.
    pub async fn schema(&self, kind: &Kind, version: Option<Version>) -> Result<Json, Problem> {
        let query = version.map(|version| format!("?version={version}"));
        let path = format!("/v1/schemas/{kind}{}", query.unwrap_or_default());
        self.json(&path).await
    }

    /// Declares a kind: `{"schema","strategy","fallback"}`. What of it has no effect, the kind's
    /// declaration names as `ignored`.
    pub async fn put_schema(
        &self,
        kind: &Kind,
        declared: &Json,
        write: &Write,
    ) -> Result<ReceiptView, Problem> {
        let path = format!("/v1/schemas/{kind}");
        self.write(Method::PUT, &path, Some((JSON, declared)), write)
            .await
    }

    /// Returns what is declared for the workspace, and what is in force, as it comes.
    pub async fn rules(&self) -> Result<Json, Problem> {
        self.json("/v1/rules").await
    }

    /// Declares for the workspace:
    /// `{"strategy","fallback","ranks","conflict_deadline_s","retention"}`.
    pub async fn put_rules(&self, declared: &Json, write: &Write) -> Result<ReceiptView, Problem> {
        self.write(Method::PUT, "/v1/rules", Some((JSON, declared)), write)
            .await
    }

    /// Declares some rules for the workspace, and takes back those that are `null`; the others stay.
    pub async fn patch_rules(&self, patch: &Json, write: &Write) -> Result<ReceiptView, Problem> {
        self.write(
            Method::PATCH,
            "/v1/rules",
            Some((MERGE_PATCH, patch)),
            write,
        )
        .await
    }

    /// Takes back what is declared for the workspace; its history stays.
    pub async fn remove_rules(&self, write: &Write) -> Result<ReceiptView, Problem> {
        self.write(Method::DELETE, "/v1/rules", None, write).await
    }

    /// Takes back what is declared for a kind; its history stays.
    pub async fn remove_schema(&self, kind: &Kind, write: &Write) -> Result<ReceiptView, Problem> {
        let path = format!("/v1/schemas/{kind}");
        self.write(Method::DELETE, &path, None, write).await
    }
}
