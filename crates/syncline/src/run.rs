//! What every command has at hand: its output, the settings, and the way to a node.

use std::ffi::OsString;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use syncline_api::Problem;
use syncline_client::{Client, ClientOptions, Target};
use syncline_model::ids::{Address, BranchName, Name, WorkspaceId};

use crate::args::Global;
use crate::failure::{Failure, Result};
use crate::output::{Color, Output};
use crate::place;
use crate::settings::{Settings, Sources};

/// What every command has at hand.
#[derive(Clone, Debug)]
pub struct Run {
    /// Where the command speaks.
    pub output: Output,
    /// The settings, layered.
    pub settings: Settings,
    /// The environment, as it was at the start.
    pub environment: Vec<(OsString, OsString)>,
}

impl Run {
    /// Layers the settings and opens the output.
    pub fn start(global: &Global, more: Vec<(&'static str, String, String)>) -> Result<Run> {
        let mut flags = more;
        let mut flag = |name: &'static str, text: Option<String>| {
            flags.extend(text.map(|text| (name, format!("--{name}"), text)));
        };
        let text = |path: &PathBuf| path.to_str().map(str::to_owned);
        flag("url", global.url.clone());
        if let Some(data) = &global.data {
            let readable = text(data).ok_or_else(|| Failure::usage("--data is not UTF-8"))?;
            flag("data", Some(readable));
        }
        flag("workspace", global.workspace.clone());
        flag("agent", global.agent.clone());
        flag("session", global.session.clone());
        flag("provider", global.provider.clone());
        let environment: Vec<_> = std::env::vars_os().collect();
        let config = global.config.clone();
        let settings = Settings::load(&Sources {
            config,
            environment: environment.clone(),
            flags,
        })?;
        let color = global
            .color
            .unwrap_or_else(|| match settings.text("color") {
                Some("always") => Color::Always,
                Some("never") => Color::Never,
                _ => Color::Auto,
            });
        let output = Output::new(global.json, color, global.plain);
        Ok(Run {
            output,
            settings,
            environment,
        })
    }

    /// Returns where the node is: `url`, else the socket of `data`.
    pub fn target(&self) -> Target {
        // A flag that names a directory is meant, whatever the environment says of a URL.
        let data_is_nearer = matches!(
            self.settings.entry("data").map(|entry| &entry.origin),
            Some(crate::settings::Origin::Flag(_))
        );
        match self.settings.text("url") {
            Some(url) if !data_is_nearer => Target::Url(url.to_owned()),
            _ => Target::Socket(place::socket(&self.settings.data(), &self.environment)),
        }
    }

    /// Returns who calls.
    pub fn client_options(&self) -> Result<ClientOptions> {
        let settings = &self.settings;
        let name = |what: &'static str| {
            let text = settings.text(what);
            let name = text.map(Name::parse).transpose();
            name.map_err(|error| Failure::usage(format!("{what}: {error}")))
        };
        let workspace = settings
            .text("workspace")
            .map(WorkspaceId::parse)
            .transpose();
        Ok(ClientOptions {
            token: self.token(),
            workspace: workspace.map_err(|error| Failure::usage(format!("workspace: {error}")))?,
            agent: name("agent")?,
            session: name("session")?,
            provider: name("provider")?,
            ..ClientOptions::default()
        })
    }

    /// Returns the key: `SYNCLINE_KEY`, else for a node on this machine the one in `data`.
    ///
    /// The key of this machine's node is not told to others.
    fn token(&self) -> Option<String> {
        if self.settings.token.is_some() {
            return self.settings.token.clone();
        }
        let Target::Url(url) = self.target() else {
            return None;
        };
        let is_here = is_loopback(&url) || self.settings.is_chosen("data");
        if is_here {
            place::owner_key(&self.settings.data()).ok()
        } else {
            None
        }
    }

    /// Returns a client for the node.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::connect(self.target(), self.client_options()?)?)
    }

    /// Runs a command's calls, until Ctrl-C or SIGTERM; what it holds is dropped in order then.
    pub fn block_on<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| Failure::usage(format!("cannot start: {error}")))?;
        let ended = runtime.block_on(async {
            tokio::select! {
                ended = work => ended,
                _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
                () = terminated() => Err(Failure::Interrupted),
            }
        });
        // A read of stdin that nobody waits for any more must not keep the process.
        runtime.shutdown_timeout(Duration::from_millis(100));
        ended
    }
}

/// Waits for SIGTERM; for ever where the system does not tell of it.
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => {
            terminated.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Reads an address that the user wrote.
pub fn parse_address(text: &str) -> Result<Address, String> {
    Address::parse(text).map_err(|error| error.to_string())
}

/// Reads a branch's name that the user wrote; `main` is no branch.
pub fn parse_branch(text: &str) -> Result<BranchName, String> {
    match text {
        "main" => Err("main is the line beside which branches are, and none itself".to_owned()),
        text => BranchName::parse(text).map_err(|error| error.to_string()),
    }
}

/// A line of versions that the user named; `main` is none of the branches.
#[derive(Clone, Debug)]
pub struct LineName(Option<BranchName>);

impl LineName {
    /// Returns the branch, unless the line is `main`.
    pub fn branch(&self) -> Option<&BranchName> {
        self.0.as_ref()
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        self.branch().map_or("main", BranchName::as_str)
    }
}

/// Reads the name of a line, which may be `main`.
pub fn parse_line(text: &str) -> Result<LineName, String> {
    match text {
        "main" => Ok(LineName(None)),
        text => parse_branch(text).map(|branch| LineName(Some(branch))),
    }
}

/// Answers what a later release will do.
pub fn not_built(what: &str) -> Failure {
    Problem::not_built(what).into()
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_this_machine_gets_its_key() {
        for here in [
            "http://127.0.0.1:1",
            "http://localhost/",
            "http://[::1]:7420",
            "http://127.9.9.9",
        ] {
            assert!(is_loopback(here), "{here}");
        }
        for there in [
            "http://example.org",
            "http://127.0.0.1.example.org",
            "http://localhost.example",
            "x",
        ] {
            assert!(!is_loopback(there), "{there}");
        }
    }
}
