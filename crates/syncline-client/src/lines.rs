//! Lines of versions: branches and their merges, rolling back, undoing, and who set a field.

use http::Method;
use syncline_api::{Problem, ReceiptView};
use syncline_model::ids::{Address, BranchName, Version};
use syncline_model::json::Json;

use crate::calls::{JSON, Query, Write, headers_of};
use crate::http::{Client, percent_encode};

/// What merging a branch would come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Nothing would clash.
    pub clean: bool,
    /// The paths that would.
    pub clashes: Vec<String>,
    /// The answer, as it came.
    pub json: Json,
}

impl Client {
    /// Makes a line of a context what it was at a version, keeping what others write meanwhile.
    pub async fn rollback(
        &self,
        address: &Address,
        version: Version,
        write: &Write,
    ) -> Result<ReceiptView, Problem> {
        let path = format!("/v1/contexts/{address}/rollback");
        let body = object([("version", Json::from(version.0))]);
        self.write(Method::POST, &path, Some((JSON, &body)), write)
            .await
    }

    /// Takes back the newest change that this client's actor made, keeping what others wrote since.
    pub async fn undo(&self, address: &Address, write: &Write) -> Result<ReceiptView, Problem> {
        let path = format!("/v1/contexts/{address}/undo");
        self.write(Method::POST, &path, None, write).await
    }

    /// Returns all of a context's branches, as they come.
    pub async fn branches(&self, address: &Address) -> Result<Json, Problem> {
        let path = format!("/v1/contexts/{address}/branches");
        self.all_pages(&path, "branches").await
    }

    /// Begins a branch as a version of `main` was, or as the head is.
    pub async fn create_branch(
        &self,
        address: &Address,
        name: &BranchName,
        from: Option<Version>,
        write: &Write,
    ) -> Result<ReceiptView, Problem> {
        let path = format!("/v1/contexts/{address}/branches");
        let name = ("name", Json::from(name.as_str()));
        let from = from.map(|from| ("from", Json::from(from.0)));
        let body = object(std::iter::once(name).chain(from));
        self.write(Method::POST, &path, Some((JSON, &body)), write)
            .await
    }

    /// Ends a branch; its history stays.
    pub async fn remove_branch(
        &self,
        address: &Address,
        name: &BranchName,
        write: &Write,
    ) -> Result<ReceiptView, Problem> {
        let name = percent_encode(name.as_str());
        let path = format!("/v1/contexts/{address}/branches/{name}");
        self.write(Method::DELETE, &path, None, write).await
    }

    /// Merges a line of a context, `main` where no branch is named, into another one.
    pub async fn merge_branch(
        &self,
        address: &Address,
        from: Option<&BranchName>,
        into: Option<&BranchName>,
        write: &Write,
    ) -> Result<ReceiptView, Problem> {
        let path = format!("/v1/contexts/{address}/merge");
        let body = merge_of(from, into, false);
        self.write(Method::POST, &path, Some((JSON, &body)), write)
            .await
    }

    /// Returns what merging a line with this write would come to; nothing is written.
    pub async fn try_merge(
        &self,
        address: &Address,
        from: Option<&BranchName>,
        into: Option<&BranchName>,
        write: &Write,
    ) -> Result<Trial, Problem> {
        let path = format!("/v1/contexts/{address}/merge");
        let body = merge_of(from, into, true).to_text();
        let body = Some((JSON, body.into()));
        let json = self
            .request(Method::POST, &path, &headers_of(write), body)
            .await?
            .json()?;
        let clashes = json.get("clashes").and_then(Json::as_array);
        let clashes = clashes.unwrap_or_default().iter().filter_map(Json::as_str);
        Ok(Trial {
            clean: json.get("clean").and_then(Json::as_bool).unwrap_or(false),
            clashes: clashes.map(str::to_owned).collect(),
            json,
        })
    }

    /// Returns which change last set a field, as it comes.
    pub async fn blame(
        &self,
        address: &Address,
        branch: Option<&BranchName>,
        path: &str,
    ) -> Result<Json, Problem> {
        let mut query = Query::of_branch(branch);
        query.add("path", path);
        self.json(&format!("/v1/contexts/{address}/blame{query}"))
            .await
    }
}

fn merge_of(from: Option<&BranchName>, into: Option<&BranchName>, dry_run: bool) -> Json {
    let from = from.map_or("main", BranchName::as_str);
    let from = ("from_branch", Json::from(from));
    let into = into.map(|into| ("into", Json::from(into.as_str())));
    let dry_run = dry_run.then(|| ("dry_run", Json::from(true)));
    object(std::iter::once(from).chain(into).chain(dry_run))
}

fn object(members: impl IntoIterator<Item = (&'static str, Json)>) -> Json {
    Json::Object(members.into_iter().collect())
}
